import { Workload } from '../load/workload.ts';
import { LOADS, type Load } from './batch-report.ts';

const PROMPT_TOKENS = { least: 8, most: 64 };
const OUTPUT_TOKENS = { least: 16, most: 64 };

/**
 * Of which ids the prompts of each load are. Each half is as large as the other, so that what is drawn by one seed has the same
 * lengths, and shares none, so that no load finds its prompts in the pages that another left.
 */
const IDS: Readonly<Record<'interactive' | 'both' | 'lines', { first: number; last: number }>> = {
  interactive: { first: 1000, last: 20_999 },
  both: { first: 21_000, last: 40_999 },
  lines: { first: 1000, last: 40_999 },
};

/** One window of a repeat. */
export interface Turn {
  readonly load: Load;
  /** Of the interactive requests and of when they arrive: both loads that have some get the same. */
  readonly seed: number;
}

/** The loads of each repeat, in the order in which they run: every other one turned round, as a machine drifts. */
export const batchTurns = (seed: number, repeats: number): readonly Turn[][] =>
  Array.from({ length: repeats }, (_, repeat) => {
    const turns = LOADS.map((load): Turn => ({ load, seed: seed + 100 * (repeat + 1) }));
    return repeat % 2 === 0 ? turns : turns.toReversed();
  });

/** What is sent under a load, or as lines of the batch. */
export const batchWorkload = (of: keyof typeof IDS, seed: number): Workload =>
  new Workload({ seed, promptTokens: PROMPT_TOKENS, outputTokens: OUTPUT_TOKENS, ids: IDS[of] });
