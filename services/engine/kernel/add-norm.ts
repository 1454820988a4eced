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
import { rowsOf } from './matrix.ts';
import { WasmFunction } from './module.ts';
import type { RoundingOf } from './round.ts';
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
  /** The matrix that multiplies what goes normed: as many rows as it takes. */
  matrix: 5,
} as const;
export const NORM_WORDS = 6;

/** Vectors of a row that are worked on together. */
const VECTORS = 4;

/**
 * `name(item, norm, scratch)` for an item's rows of `hidden` floats, a multiple of 16: residual += delta, and
 * normed = residual / √(mean of squares + ε) · weight (Zhang & Sennrich 2019, eq. 4), rounded for its matrix if `roundingOf` is given.
 */
export function addNormFunction(
  name: string,
  hidden: number,
  epsilon: number,
  roundingOf?: RoundingOf,
): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, norm] = [fn.parameter(0), fn.parameter(1)];
  const [row, end, at, residual, delta, normed, weight] = fn.locals('i32', 7) as Locals7;
  const matrix = fn.local('i32');
  const factor = fn.local('v128');
  const values = fn.locals('v128', VECTORS);
  /** Of every fourth vector, so that none waits for the one before. */
  const squares = fn.locals('v128', VECTORS);
  const rowBytes = hidden * 4;
  const field = fieldOf(norm);
  const ofRow = (index: number): Code => add(field(index), multiply(get(row), int(rowBytes)));
  const rounding = roundingOf?.(fn, matrix, row);
  const place = (start: Local) => add(get(start), get(at));
  fn.body([
    set(matrix, field(NORM.matrix)),
    rounding?.constants ?? [],
    overItemRows([item, row, end], rowsOf(matrix), [
      set(weight, add(field(NORM.weight), load(add(field(NORM.offsets), multiply(get(row), int(4)))))),
      set(residual, ofRow(NORM.residual)),
      set(delta, ofRow(NORM.delta)),
      set(normed, ofRow(NORM.normed)),
      squares.map((sum) => set(sum, vector.floats(0))),
      loopOver(at, int(0), int(rowBytes), VECTORS * 16, [
        values.map((value, index) =>
          set(
            value,
            vector.add(vector.load(place(residual), index * 16), vector.load(place(delta), index * 16)),
          ),
        ),
        values.map((value, index) => vector.store(place(residual), get(value), index * 16)),
        values.map((value, index) =>
          set(squares[index]!, vector.multiplyAdd(get(value), get(value), get(squares[index]!))),
        ),
      ]),
      set(
        squares[0]!,
        squares.slice(1).reduce((sum: Code, other) => vector.add(sum, get(other)), get(squares[0]!)),
      ),
      set(
        factor,
        vector.splat(
          scalar.divide(
            scalar.floats(1),
            scalar.squareRoot(
              scalar.add(
                scalar.divide(acrossLanes(squares[0]!, scalar.add), scalar.floats(hidden)),
                scalar.floats(epsilon),
              ),
            ),
          ),
        ),
      ),
      loopOver(at, int(0), int(rowBytes), VECTORS * 16, [
        values.map((value, index) =>
          set(
            value,
            vector.multiply(
              vector.multiply(vector.load(place(residual), index * 16), get(factor)),
              vector.load(place(weight), index * 16),
            ),
          ),
        ),
        values.map((value, index) => vector.store(place(normed), get(value), index * 16)),
      ]),
      rounding?.ofRow ?? [],
    ]),
  ]);
  return fn;
}
