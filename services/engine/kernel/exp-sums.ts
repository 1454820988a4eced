import {
  add,
  divide,
  get,
  ifElse,
  int,
  type Local,
  lessThan,
  multiply,
  remainder,
  scalar,
  set,
} from './code.ts';
import { fieldOf } from './description.ts';
import { WasmFunction } from './module.ts';
import { ShiftedExps } from './shifted-exps.ts';

/** Rows of floats that are summed up in slices, in words from the address of their description on. */
export const SLICED = {
  /** [rows, rowBytes / 4] f32, a multiple of four in a row. */
  values: 0,
  rowBytes: 1,
  /** A multiple of 16. */
  sliceBytes: 2,
  slices: 3,
  /** [rows, slices, 2] f32: each slice's largest value, and Σ exp(value − largest). */
  sums: 4,
} as const;
export const SLICED_WORDS = 5;

/** `name(item, rows, scratch)`: sums up slice item mod slices of row item / slices. */
export function expSumsFunction(name: string): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, rows] = [fn.parameter(0), fn.parameter(1)];
  const [start, end, rowEnd] = fn.locals('i32', 3) as [Local, Local, Local];
  const exps = new ShiftedExps(fn, 1);
  const field = fieldOf(rows);
  const row = divide(get(item), field(SLICED.slices));
  const slice = remainder(get(item), field(SLICED.slices));
  const sums = add(field(SLICED.sums), multiply(get(item), int(8)));
  fn.body([
    set(start, add(field(SLICED.values), multiply(row, field(SLICED.rowBytes)))),
    set(rowEnd, add(get(start), field(SLICED.rowBytes))),
    set(start, add(get(start), multiply(slice, field(SLICED.sliceBytes)))),
    set(end, add(get(start), field(SLICED.sliceBytes))),
    ifElse(lessThan(get(rowEnd), get(end)), set(end, get(rowEnd))),
    exps.constants,
    exps.over({ start: get(start), end: get(end), step: int(16) }, false),
    scalar.store(sums, exps.largest),
    scalar.store(sums, exps.total, 4),
  ]);
  return fn;
}
