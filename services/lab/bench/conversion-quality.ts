import type { Bundle } from '@rondo/bundle';
import { bootstrap } from '../eval/bootstrap.ts';
import { windowRuns } from '../eval/depth-scores.ts';
import type { Head } from '../eval/head.ts';
import { metricOf, metricValue } from '../eval/metrics.ts';
import type { Protocol } from '../eval/protocol.ts';
import type { Sequences } from '../eval/sequences.ts';
import type { SuiteSettings } from '../eval/suite.ts';
import { type Reference, referenceOf, type WindowScore, WindowTally } from '../eval/window-scores.ts';
import type { Window } from '../eval/windows.ts';

/** What a model says of the suite's windows, beside the original. */
export interface Quality {
  readonly perplexity: number;
  /** Where the perplexity lies with the suite's confidence. */
  readonly low: number;
  readonly high: number;
  /** Share of rows whose most likely token is the original's. */
  readonly agreement: number;
  /** KL of the model from the original, nats per token. */
  readonly kl: number;
  /** The largest difference of any logit of any scored row from the original's. */
  readonly apart: number;
}

export interface QualityOptions {
  readonly protocol: Protocol;
  readonly settings: SuiteSettings;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly open: (bundle: Bundle) => Promise<Sequences>;
}

/** Holds models against the original, whose logits and probabilities are computed once and kept: 400 MB for 1,024 rows of SmolLM2. */
export class QualityJudge {
  readonly #options: QualityOptions;
  readonly #references: readonly (readonly Reference[])[];

  private constructor(options: QualityOptions, references: readonly (readonly Reference[])[]) {
    this.#options = options;
    this.#references = references;
  }

  static async of(original: Bundle, options: QualityOptions): Promise<QualityJudge> {
    const references: Reference[][] = options.protocol.windows.map(() => []);
    await readWindows(original, options, (window, heads) => {
      references[window]!.push(...heads.map(referenceOf));
    });
    return new QualityJudge(options, references);
  }

  async judge(bundle: Bundle): Promise<Quality> {
    const { protocol, settings, seed } = this.#options;
    const tallies = protocol.windows.map(({ bytes }) => new WindowTally(bytes));
    const rows = protocol.windows.map(() => 0);
    let apart = 0;
    await readWindows(bundle, this.#options, (window, heads, next) => {
      heads.forEach((head, at) => {
        const reference = this.#references[window]![rows[window]!++]!;
        tallies[window]!.add(head, next[at]!, bundle.manifest.maxDepth, reference);
        apart = Math.max(apart, largestDifference(head.logits, reference.head.logits));
      });
    });
    const windows: WindowScore[] = tallies.map((tally) => tally.score());
    const scores = { windows, greedy: [], questions: [] };
    const perplexity = (drawn: Uint32Array) => metricOf('perplexity').of(scores, drawn);
    const { value, low, high } = bootstrap(windows.length, perplexity, { ...settings.bootstrap, seed });
    return {
      perplexity: value,
      low,
      high,
      agreement: metricValue('agreement', scores),
      kl: metricValue('kl', scores),
      apart,
    };
  }
}

type Read = (window: number, heads: readonly Head[], next: readonly number[]) => void;

/** Runs every window through all passes of `bundle`; `read` is told what the head says of the rows that are scored, in order. */
async function readWindows(bundle: Bundle, options: QualityOptions, read: Read): Promise<void> {
  const model = await options.open(bundle);
  const full = [bundle.manifest.maxDepth];
  const readOne = async (window: Window, at: number) => {
    const sequence = model.create();
    for (const { ids, heads, next } of windowRuns(window)) {
      options.signal.throwIfAborted();
      await model.append([{ sequence, ids, heads }], full, (_, found) => read(at, found, next));
    }
    model.release(sequence);
  };
  try {
    for (const [at, window] of options.protocol.windows.entries()) await readOne(window, at);
  } finally {
    await model.close();
  }
}

/** max |a − b| */
function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let at = 0; at < a.length; at++) largest = Math.max(largest, Math.abs(a[at]! - b[at]!));
  return largest;
}
