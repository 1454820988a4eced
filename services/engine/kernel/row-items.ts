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
  set,
} from './code.ts';
import { TILE_ROWS } from './row-tiles.ts';

/** Rows of one item of work on rows: a tile's, whose cache lines two threads would write in turns. */
const ITEM_ROWS = TILE_ROWS;

export const rowItems = (rows: number): number => Math.ceil(rows / ITEM_ROWS);

export const rowItemsOf = (rows: Code): Code => divide(add(rows, int(ITEM_ROWS - 1)), int(ITEM_ROWS));

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
