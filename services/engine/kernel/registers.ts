import type { Local } from './code.ts';

/** Query rows that share each loaded key or value. */
export const QUERY_BLOCK = 3;
/**
 * Positions, or vectors of values, that one block works on. 3 · 4 sums, the key or value at hand, one query or weight kept
 * and one loaded anew are 15 vectors, all the registers V8 gives: keeping more in locals spilled, and cost a quarter.
 */
export const SPAN = 4;

export type Locals4 = [Local, Local, Local, Local];
export type Locals7 = [Local, Local, Local, Local, Local, Local, Local];

/** The locals that the parts of `attend` share. All pages, queries and scores are byte addresses. */
export interface Names {
  readonly firstRow: Local;
  readonly rows: Local;
  readonly queries: Local;
  /** Of the head at hand. */
  readonly firstQuery: Local;
  readonly endQuery: Local;
  /** Positions that the item's last row sees. */
  readonly positions: Local;
  /** Bytes from one query's scores to the next one's. */
  readonly stride: Local;
  /** [queries, headDim] scaled queries; sums of values; [queries] 1 / Σ exp, and the scores behind them. */
  readonly queryTile: Local;
  readonly sumTile: Local;
  readonly inverses: Local;
  readonly scores: Local;
}
