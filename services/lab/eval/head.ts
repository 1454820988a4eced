import type { HeadResult } from '@rondo/engine';

/** What the head says of one row. */
export interface Head {
  /** [vocab] */
  readonly logits: Float32Array;
  readonly logSumExp: number;
  /** The most likely id. */
  readonly topId: number;
  /** What the pass before it said of the row, when the block says so and rows are appended. */
  readonly gate?: number | undefined;
  readonly latentDiff?: number | undefined;
}

/** Of row `row` of a run of the head with logits. */
export function headOf(result: HeadResult, row: number): Head {
  const { logits, logSumExp, topIds } = result;
  const rows = logSumExp.length;
  const vocab = logits!.length / rows;
  return {
    logits: logits!.subarray(row * vocab, (row + 1) * vocab),
    logSumExp: logSumExp[row]!,
    topId: topIds[(row * topIds.length) / rows]!,
  };
}
