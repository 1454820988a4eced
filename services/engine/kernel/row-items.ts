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

/** Rows of one item of work on rows: fewer are not worth another thread. */
const ITEM_ROWS = 4;

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
