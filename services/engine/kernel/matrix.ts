import { type Code, get, int, type Local, lessThan, loopWhile, set, subtract } from './code.ts';
import { fieldOf } from './description.ts';

/** Outputs whose weights lie in one vector. */
export const LANES = 4;
/** Vectors of outputs that share what is loaded of a row, side by side: where V8 joins vectors they are one. */
export const TILES = 2;

/** A matrix as a product reads it, in words from its address on. Groups are TILES · LANES outputs, one behind the other. */
export const MATRIX = {
  /** [groups, blocks, 4, TILES, LANES] words of as many weights as the precision puts there. */
  weights: 0,
  /** f32, for each output or for each block of it. */
  scales: 1,
  /** int4: [groups, blocks, TILES, LANES] bytes. */
  zeros: 2,
  blocks: 3,
  groups: 4,
  /** Groups that one item works on. */
  itemGroups: 5,
  /** f32 rows, from one to the next, and where they are rounded to, in tiles of so many bytes. */
  source: 6,
  sourceRowBytes: 7,
  input: 8,
  inputTileBytes: 9,
  /** f32 rows, and from one to the next. */
  output: 10,
  outputRowBytes: 11,
  rows: 12,
  items: 13,
  /** Where in its tile the first row is that is multiplied; `input` begins at that tile, `output` at that row. */
  firstRow: 14,
  /** The matrix whose items come behind these in the same job. */
  next: 15,
  /** [rows, 2 · outputs] f32, gates before ups, added before they are gated, and from one row to the next. */
  sums: 16,
  sumsRowBytes: 17,
} as const;
export const MATRIX_WORDS = 18;

/** Goes on to the matrix that an item of several matrices' is of; each has so many `items`. */
export const findMatrix = ([item, matrix]: readonly [Local, Local], items: Code): Code =>
  loopWhile(lessThan(subtract(items, int(1)), get(item)), [
    set(item, subtract(get(item), items)),
    set(matrix, fieldOf(matrix)(MATRIX.next)),
  ]);
