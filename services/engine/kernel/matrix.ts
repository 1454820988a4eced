import {
  add,
  type Code,
  get,
  int,
  type Local,
  lessThan,
  load,
  loopWhile,
  multiply,
  set,
  subtract,
} from './code.ts';
import { fieldOf } from './description.ts';
import { inTile } from './row-tiles.ts';

/** Outputs whose weights lie in one vector. */
export const LANES = 4;
/** Vectors of outputs that share what is loaded of a row, side by side: where V8 joins vectors they are one. */
export const TILES = 2;
/** Outputs of a group, and their bytes of one row in f32. */
export const GROUP_OUTPUTS = TILES * LANES;
export const GROUP_BYTES = GROUP_OUTPUTS * 4;

/** A matrix as a product reads it, in words from its address on. Groups are GROUP_OUTPUTS outputs, one behind the other. */
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
  /** Address of which rows of a run it takes. */
  range: 12,
  items: 13,
  /** The matrix whose items come behind these in the same job. */
  next: 14,
  /** Of some rows the first of matrices one behind the other, an item for each of this one's groups, whose products are added; 0 for none. */
  addends: 15,
  /** The same for rows that follow, in the first of those. */
  nextAddends: 16,
} as const;
export const MATRIX_WORDS = 17;

/** Some rows of a run, side by side, in words from its address on. */
export const RANGE = { first: 0, rows: 1 } as const;
export const RANGE_WORDS = 2;

/** Address of a depth's rows, behind those of all depths. */
export const rangeOfDepth = (ranges: number, depth: number): number => ranges + (1 + depth) * RANGE_WORDS * 4;

/** How many rows a matrix takes, and which is the first. */
export const rowsOf = (matrix: Local): Code => load(fieldOf(matrix)(MATRIX.range), RANGE.rows * 4);
export const firstRowOf = (matrix: Local): Code => load(fieldOf(matrix)(MATRIX.range), RANGE.first * 4);

/** Address of a row of a matrix's source. */
export const sourceOf = (matrix: Local, row: Local): Code =>
  add(fieldOf(matrix)(MATRIX.source), multiply(get(row), fieldOf(matrix)(MATRIX.sourceRowBytes)));

/** Address of a row, counted from where the matrix's tiles begin, in them. */
export const roundedOf = (matrix: Local, row: Local): Code =>
  inTile(fieldOf(matrix)(MATRIX.input), row, fieldOf(matrix)(MATRIX.inputTileBytes));

/** Goes on to the matrix that an item of several matrices' is of; each has so many `items`. */
export const findMatrix = ([item, matrix]: readonly [Local, Local], items: Code): Code =>
  loopWhile(lessThan(subtract(items, int(1)), get(item)), [
    set(item, subtract(get(item), items)),
    set(matrix, fieldOf(matrix)(MATRIX.next)),
  ]);
