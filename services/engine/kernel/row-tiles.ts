import {
  add,
  type Code,
  divide,
  get,
  ifElse,
  int,
  type Local,
  lessThan,
  loopOver,
  multiply,
  remainder,
  set,
} from './code.ts';

/**
 * Rounded rows lie in tiles: of each four columns the bytes of all its rows side by side, so that a product finds every row of a
 * tile at a constant distance from the first.
 */
export const TILE_ROWS = 8;
/** Bytes that a row has of four columns, and that it has to its next four. */
export const FOUR_BYTES = 4;
export const STEP_BYTES = TILE_ROWS * FOUR_BYTES;

/** Address of a row's first number in its tile. */
export const inTile = (tiles: Code, row: Local, tileBytes: Code): Code =>
  add(
    add(tiles, multiply(divide(get(row), int(TILE_ROWS)), tileBytes)),
    multiply(remainder(get(row), int(TILE_ROWS)), int(FOUR_BYTES)),
  );

/** Bytes of the tiles of `rows` rows. */
export const tilesBytes = (rows: number, tileBytes: number): number =>
  Math.ceil(rows / TILE_ROWS) * tileBytes;

/** Rows of one item of work on rows: fewer are not worth another thread. */
export const ITEM_ROWS = 4;

export const rowItems = (rows: number): number => Math.ceil(rows / ITEM_ROWS);

/** `body` for each `row` of an item, the last of which has what is left of `rows`. */
export const overItemRows = (
  [item, row, end]: readonly [Local, Local, Local],
  rows: Code,
  body: Code,
): Code => [
  set(end, multiply(add(get(item), int(1)), int(ITEM_ROWS))),
  ifElse(lessThan(rows, get(end)), set(end, rows)),
  loopOver(row, multiply(get(item), int(ITEM_ROWS)), get(end), 1, body),
];
