import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { type Bundle, bundlePath } from '@rondo/bundle';
import type { Checkpoint } from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { meanNegativeLogLikelihood } from './perplexity.ts';
import { SerialModel } from './serial-model.ts';

/** One way to loop a checkpoint: layers first…last repeated `loops` times with damping α. */
export interface LoopCandidate {
  readonly first: number;
  readonly last: number;
  readonly loops: number;
  readonly damping: number;
}

export interface ScanGrid {
  readonly layers: number;
  /** Widths of the block, in layers. */
  readonly widths: readonly number[];
  /** Layers between the first layers of neighbouring candidates. */
  readonly stride: number;
  readonly loops: readonly number[];
}

/**
 * Every block of the given widths, plain (α = 1) and as damped sub-steps (α = 1/R, arXiv 2605.23872). The first and
 * last layer stay outside: they turn tokens into states and states into tokens.
 */
export function loopCandidates({ layers, widths, stride, loops }: ScanGrid): LoopCandidate[] {
  const candidates: LoopCandidate[] = [];
  for (const width of widths) {
    for (let first = 1; first + width <= layers - 1; first += stride) {
      for (const count of loops) {
        for (const damping of [1, 1 / count]) {
          candidates.push({ first, last: first + width - 1, loops: count, damping });
        }
      }
    }
  }
  return candidates;
}

/** Token ids of `text` under the bundle's own tokenizer. */
export async function bundleTokens(bundle: Bundle, text: string): Promise<number[]> {
  const files = bundle.manifest.tokenizer;
  if (!files)
    throw new RondoError('CONFIG_INVALID', `${bundle.directory}: has no tokenizer, so text cannot be scored`);
  const json = async (file: string) => JSON.parse(await readFile(bundlePath(bundle, file), 'utf8')) as object;
  const tokenizer = new Tokenizer(await json(files.tokenizer), files.config ? await json(files.config) : {});
  return tokenizer.encode(text).ids;
}

/** Token ids of `text` under the checkpoint's own tokenizer, which its bundles take over. @throws RondoError CONFIG_INVALID without one */
export function checkpointTokens(
  { path, tokenizerFiles }: Pick<Checkpoint, 'path' | 'tokenizerFiles'>,
  text: string,
): number[] {
  const json = (file: string) => {
    const bytes = tokenizerFiles.get(file);
    return bytes && (JSON.parse(Buffer.from(bytes).toString('utf8')) as object);
  };
  const parts = json('tokenizer.json');
  if (!parts) throw new RondoError('CONFIG_INVALID', `${path}: has no tokenizer, so text cannot be scored`);
  return new Tokenizer(parts, json('tokenizer_config.json') ?? {}).encode(text).ids;
}

export interface BundlePerplexityOptions {
  /** Of the text to score: two at least. */
  readonly ids: readonly number[];
  readonly window: number;
  readonly threads: number;
  /** Aborted when the user stops the run, which then throws its reason. */
  readonly signal?: AbortSignal;
}

/** exp of the mean negative log likelihood per token of a text. */
export async function bundlePerplexity(bundle: Bundle, options: BundlePerplexityOptions): Promise<number> {
  const { ids } = options;
  const window = Math.min(options.window, ids.length, bundle.manifest.shape.context);
  const model = await SerialModel.open(bundle, { threads: options.threads, positions: window });
  const onWindow = () => options.signal?.throwIfAborted();
  try {
    return Math.exp(await meanNegativeLogLikelihood(model, ids, { window, chunkRows: 128, onWindow }));
  } finally {
    await model.close();
  }
}
