import type { HeadRequest, HeadResult, HeadRow } from '@rondo/engine';

/** What the head said of one row of a run. */
export function headRow(result: HeadResult, row: number): HeadRow {
  const rows = result.logSumExp.length;
  const part = <Numbers extends Float32Array | Int32Array>(all: Numbers): Numbers =>
    all.subarray((row * all.length) / rows, ((row + 1) * all.length) / rows) as Numbers;
  return {
    topLogits: part(result.topLogits),
    topIds: part(result.topIds),
    logSumExp: result.logSumExp[row]!,
    logits: result.logits && part(result.logits),
  };
}

/** What the head said of those rows from `first` to `end` of a run that it was asked about; undefined when of none. */
export function headRowsOf(
  { rows }: HeadRequest,
  result: HeadResult,
  first: number,
  end: number,
): HeadRow[] | undefined {
  const heads: HeadRow[] = [];
  rows.forEach((row, at) => {
    if (row >= first && row < end) heads.push(headRow(result, at));
  });
  return heads.length > 0 ? heads : undefined;
}
