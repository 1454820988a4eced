import type { Code, Local } from './code.ts';
import { findMatrix, rowsOf } from './matrix.ts';
import { WasmFunction } from './module.ts';
import { overItemRows, rowItemsOf } from './row-items.ts';

/** How a row of a matrix's source becomes bytes in its tile. */
export interface Rounding {
  /** Before the first row. */
  readonly constants: Code;
  readonly ofRow: Code;
}

export type RoundingOf = (fn: WasmFunction, matrix: Local, row: Local) => Rounding;

/** `name(item, matrix, scratch)`: the item's rows of the matrix's source are rounded. */
export function roundFunction(name: string, roundingOf: RoundingOf): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, matrix] = [fn.parameter(0), fn.parameter(1)];
  const [row, end] = fn.locals('i32', 2) as [Local, Local];
  const rows = rowsOf(matrix);
  const { constants, ofRow } = roundingOf(fn, matrix, row);
  fn.body([
    findMatrix([item, matrix], rowItemsOf(rows)),
    constants,
    overItemRows([item, row, end], rows, ofRow),
  ]);
  return fn;
}
