import type { Local } from './code.ts';

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
  /** [queries, headDim] scaled queries; sums of values; [queries] 1 / Σ exp. */
  readonly queryTile: Local;
  readonly sumTile: Local;
  readonly inverses: Local;
  /** [pages, queries, pagePositions] f32, from where to where, and how much a page has. */
  readonly scores: Local;
  readonly scoresEnd: Local;
  readonly scoresPage: Local;
}
