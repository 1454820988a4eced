import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBundle } from '@rondo/bundle';
import {
  type Checkpoint,
  convert,
  openCheckpoint,
  type PreparedWeights,
  prepareWeights,
} from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { bundlePerplexity, checkpointTokens, type LoopCandidate, loopCandidates } from '@rondo/lab';
import { Command } from 'commander';
import { CACHE } from './cache.ts';
import { countOption, countsOption } from './options.ts';
import { progressBar } from './progress.ts';
import { readText } from './read-text.ts';

const DEFAULT_TEXT = new URL('../lab/texts/default.txt', import.meta.url);

interface ScanFlags {
  readonly text?: string;
  readonly tokens: number;
  readonly widths: number[];
  readonly stride: number;
  readonly loops: number[];
  readonly threads: number;
  readonly json: boolean;
}

/** `rondo scan`: which layers of a checkpoint can be looped, how often and how gently, at what cost in perplexity. */
export const scanCommand = (): Command =>
  new Command('scan')
    .description('measure the perplexity of every way to loop a checkpoint, best first')
    .argument('<checkpoint>', 'a checkpoint directory or .gguf file')
    .option('--text <file>', 'text to score (default: two public-domain excerpts)')
    .option(
      '--tokens <n>',
      'tokens of the text to score',
      countOption('--tokens', Number.POSITIVE_INFINITY, 2),
      1024,
    )
    .option('--widths <list>', 'widths of the block in layers', countsOption('--widths'), [2, 4, 8])
    .option('--stride <n>', 'layers between neighbouring candidates', countOption('--stride'), 2)
    .option('--loops <list>', 'numbers of passes', countsOption('--loops', 2), [2, 4])
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), 2)
    .option('--json', 'print JSON instead of a table', false)
    .addHelpText(
      'after',
      `
Each candidate repeats layers a…b R times, plainly (damping 1) or in damped sub-steps (damping 1/R).
The checkpoint itself comes first, as the bound; its first and last layer are in no block.

Example:
  rondo scan .cache/checkpoints/smollm2-135m-instruct --widths 2,4 --loops 2,3,4`,
    )
    .action(scan);

async function scan(path: string, flags: ScanFlags): Promise<void> {
  const text =
    flags.text === undefined ? await readFile(DEFAULT_TEXT, 'utf8') : await readText('--text', flags.text);
  const checkpoint = await openCheckpoint(path);
  const progress = progressBar('scanning', 0);
  const interrupt = new AbortController();
  const { signal } = interrupt;
  const stop = () => interrupt.abort(new RondoError('CANCELLED', 'scan was stopped; nothing was left'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  let directory: string | undefined;
  try {
    const candidates = candidatesOf(checkpoint, flags);
    const ids = scoredTokens(checkpoint, text, flags);
    await mkdir(CACHE, { recursive: true });
    directory = await mkdtemp(join(CACHE, 'scan-'));
    const out = join(directory, 'bundle');
    const prepared = await prepareWeights(checkpoint, 'f32', directory, () => signal.throwIfAborted());
    const measure = async (done: number, candidate?: LoopCandidate) => {
      signal.throwIfAborted();
      const bundle = await writeCandidate({ checkpoint, prepared, out }, candidate);
      const perplexity = await bundlePerplexity(bundle, { ids, threads: flags.threads, window: 512, signal });
      progress.update(done, candidates.length + 1);
      return perplexity;
    };
    const base = await measure(1);
    const rows = [];
    for (const [at, candidate] of candidates.entries()) {
      rows.push({ ...candidate, perplexity: await measure(at + 2, candidate) });
    }
    progress.stop();
    rows.sort((a, b) => a.perplexity - b.perplexity);
    process.stdout.write(flags.json ? `${JSON.stringify({ base, rows }, null, 2)}\n` : table(base, rows));
  } finally {
    progress.stop();
    process.off('SIGINT', stop).off('SIGTERM', stop);
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    await checkpoint.close();
  }
}

/** @throws RondoError CONFIG_INVALID when no block of these widths fits: the checkpoint alone says nothing of loops. */
function candidatesOf({ path, model }: Checkpoint, flags: ScanFlags): LoopCandidate[] {
  const candidates = loopCandidates({ ...flags, layers: model.layers });
  if (candidates.length > 0) return candidates;
  throw new RondoError(
    'CONFIG_INVALID',
    `--widths ${flags.widths}: ${path} has ${model.layers} layers, the first and last of which stay outside of the loop: a block has at most ${Math.max(0, model.layers - 2)}`,
  );
}

/** @throws RondoError CONFIG_INVALID for a text that has no next token to tell. */
function scoredTokens(checkpoint: Checkpoint, text: string, flags: ScanFlags): number[] {
  const ids = checkpointTokens(checkpoint, text).slice(0, flags.tokens);
  if (ids.length >= 2) return ids;
  throw new RondoError(
    'CONFIG_INVALID',
    `--text ${flags.text}: has fewer than two tokens, so there is no next one to score: name a longer text`,
  );
}

interface Workspace {
  readonly checkpoint: Checkpoint;
  readonly prepared: PreparedWeights;
  readonly out: string;
}

async function writeCandidate(workspace: Workspace, candidate?: LoopCandidate) {
  await convert({
    ...workspace,
    precision: 'f32',
    ...(candidate && { loopLayers: candidate, loops: candidate.loops, damping: candidate.damping }),
  });
  return openBundle(workspace.out);
}

function table(base: number, rows: readonly (LoopCandidate & { perplexity: number })[]): string {
  const line = (layers: string, loops: string, damping: string, perplexity: number) =>
    `${layers.padEnd(8)} ${loops.padStart(5)} ${damping.padStart(8)} ${perplexity.toFixed(3).padStart(11)} ${(perplexity / base).toFixed(3).padStart(7)}\n`;
  return [
    'layers   loops  damping  perplexity   ratio\n',
    line('-', '1', '-', base),
    ...rows.map((row) =>
      line(`${row.first}-${row.last}`, `${row.loops}`, row.damping.toFixed(3), row.perplexity),
    ),
  ].join('');
}
