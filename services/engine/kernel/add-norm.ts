import { acrossLanes } from './across-lanes.ts';
import {
  add,
  type Code,
  get,
  int,
  type Local,
  load,
  loopOver,
  multiply,
  scalar,
  set,
  vector,
} from './code.ts';
import { fieldOf } from './description.ts';
import type { Locals7 } from './locals.ts';
import { WasmFunction } from './module.ts';
import { overItemRows } from './row-items.ts';

/** What a norm works on, in words from its address on. */
export const NORM = {
  /** [rows, hidden] f32: the stream, what is added to it, and where it goes normed. */
  residual: 0,
  delta: 1,
  normed: 2,
  /** [hidden] f32, or one behind the other for each depth: for each row i32 bytes from the first to its own. */
  weight: 3,
  offsets: 4,
  rows: 5,
} as const;
export const NORM_WORDS = 6;

/**
 * `name(item, norm, scratch)` for an item's rows of `hidden` floats, a multiple of 4: residual += delta, and
 * normed = residual / √(mean of squares + ε) · weight. (Zhang & Sennrich 2019, eq. 4)
 */
export function addNormFunction(name: string, hidden: number, epsilon: number): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, norm] = [fn.parameter(0), fn.parameter(1)];
  const [row, end, at, residual, delta, normed, weight] = fn.locals('i32', 7) as Locals7;
  const [value, squares, factor] = fn.locals('v128', 3) as [Local, Local, Local];
  const rowBytes = hidden * 4;
  const field = fieldOf(norm);
  const ofRow = (index: number): Code => add(field(index), multiply(get(row), int(rowBytes)));
  const place = (start: Local) => add(get(start), get(at));
  fn.body([
    overItemRows([item, row, end], field(NORM.rows), [
      set(weight, add(field(NORM.weight), load(add(field(NORM.offsets), multiply(get(row), int(4)))))),
      set(residual, ofRow(NORM.residual)),
      set(delta, ofRow(NORM.delta)),
      set(normed, ofRow(NORM.normed)),
      set(squares, vector.floats(0)),
      loopOver(at, int(0), int(rowBytes), 16, [
        set(value, vector.add(vector.load(place(residual)), vector.load(place(delta)))),
        vector.store(place(residual), get(value)),
        set(squares, vector.multiplyAdd(get(value), get(value), get(squares))),
      ]),
      set(
        factor,
        vector.splat(
          scalar.divide(
            scalar.floats(1),
            scalar.squareRoot(
              scalar.add(
                scalar.divide(acrossLanes(squares, scalar.add), scalar.floats(hidden)),
                scalar.floats(epsilon),
              ),
            ),
          ),
        ),
      ),
      loopOver(at, int(0), int(rowBytes), 16, [
        vector.store(
          place(normed),
          vector.multiply(
            vector.multiply(vector.load(place(residual)), get(factor)),
            vector.load(place(weight)),
          ),
        ),
      ]),
    ]),
  ]);
  return fn;
}
