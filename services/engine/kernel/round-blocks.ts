import { acrossLanes } from './across-lanes.ts';
import { add, get, int, integers, type Local, loopOver, multiply, scalar, set, vector } from './code.ts';
import { WasmFunction } from './module.ts';

/** Columns that share a scale. */
export const BLOCK_COLUMNS = 32;
/** A block of a rounded row: its bytes, then f32 scale and scale · Σ bytes, and room to a multiple of 16. */
export const ROUNDED_SCALE = BLOCK_COLUMNS;
export const ROUNDED_SUM = ROUNDED_SCALE + 4;
export const ROUNDED_BLOCK_BYTES = ROUNDED_SCALE + 16;

/** Of each eight columns first the even ones, then the odd: as the halves of a weight's bytes hold them. */
const EVEN_ODD = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];
/** What a block of zeros is divided by. */
const SMALLEST = 1e-30;

/**
 * `round(source, target, blocks, rows)`: rows of blocks · 32 floats, one behind the other, become signed bytes with a
 * scale for each block, largest / 127: what MatMulNBits makes of its input at accuracy level 4. It multiplies by 127 / largest,
 * which is not the float 1 / scale: near the middle between two bytes that decides.
 */
export function roundBlocksFunction(): WasmFunction {
  const fn = new WasmFunction('round', 4);
  const [source, target, blocks, rows] = [0, 1, 2, 3].map((index) => fn.parameter(index)) as Local[] & {
    length: 4;
  };
  const at = fn.local('i32');
  const scale = fn.local('f32');
  const [largest, sum, inverse] = fn.locals('v128', 3) as [Local, Local, Local];
  const values = fn.locals('v128', 8);
  const narrow = (first: number) => integers.narrowToShorts(get(values[first]!), get(values[first + 1]!));
  const halfOf = (first: number) =>
    integers.shuffleBytes(integers.narrowToBytes(narrow(first), narrow(first + 2)), EVEN_ODD);
  fn.body(
    loopOver(at, int(0), multiply(get(blocks!), get(rows!)), 1, [
      set(largest, vector.floats(SMALLEST)),
      values.map((value, index) => [
        set(value, vector.load(get(source!), index * 16)),
        set(largest, vector.max(get(largest), vector.absolute(get(value)))),
      ]),
      set(scale, acrossLanes(largest, scalar.max)),
      set(inverse, vector.splat(scalar.divide(scalar.floats(127), get(scale)))),
      set(scale, scalar.divide(get(scale), scalar.floats(127))),
      set(sum, vector.ints(0)),
      values.map((value) => [
        set(value, vector.toInts(vector.nearest(vector.multiply(get(value), get(inverse))))),
        set(sum, vector.addInts(get(sum), get(value))),
      ]),
      vector.store(get(target!), halfOf(0)),
      vector.store(get(target!), halfOf(4), 16),
      set(sum, integers.toFloats(get(sum))),
      scalar.store(get(target!), get(scale), ROUNDED_SCALE),
      scalar.store(get(target!), scalar.multiply(get(scale), acrossLanes(sum, scalar.add)), ROUNDED_SUM),
      set(source!, add(get(source!), int(BLOCK_COLUMNS * 4))),
      set(target!, add(get(target!), int(ROUNDED_BLOCK_BYTES))),
    ]),
  );
  return fn;
}
