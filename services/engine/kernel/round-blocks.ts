import { acrossLanes } from './across-lanes.ts';
import {
  add,
  type Code,
  get,
  int,
  integers,
  type Local,
  loopOver,
  multiply,
  scalar,
  set,
  vector,
} from './code.ts';
import { fieldOf } from './description.ts';
import type { Locals7 } from './locals.ts';
import { MATRIX } from './matrix.ts';
import { WasmFunction } from './module.ts';
import { overItemRows } from './row-items.ts';
import { inTile, STEP_BYTES, TILE_ROWS } from './row-tiles.ts';

/** Columns that share a scale. */
export const BLOCK_COLUMNS = 32;
/** A block of a tile of rounded rows: the bytes, then each row's f32 scale, and each row's scale · Σ bytes. */
export const ROUNDED_SCALE = BLOCK_COLUMNS * TILE_ROWS;
export const ROUNDED_SUM = ROUNDED_SCALE + STEP_BYTES;
export const ROUNDED_BLOCK_BYTES = ROUNDED_SUM + STEP_BYTES;

/** Of each eight columns first the even ones, then the odd: as the halves of a weight's bytes hold them. */
const EVEN_ODD = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];
/** What a block of zeros is divided by. */
const SMALLEST = 1e-30;

/**
 * `round(item, matrix, scratch)`: the item's rows of the matrix's source, blocks · 32 floats each, become signed bytes with a
 * scale for each block, largest / 127: what MatMulNBits makes of its input at accuracy level 4. It multiplies by 127 / largest,
 * which is not the float 1 / scale: near the middle between two bytes that decides.
 */
export function roundBlocksFunction(): WasmFunction {
  const fn = new WasmFunction('round', 3);
  const [item, matrix] = [fn.parameter(0), fn.parameter(1)];
  const [row, end, block, blocks, source, target] = fn.locals('i32', 7) as Locals7;
  const scale = fn.local('f32');
  const [largest, sum, inverse] = fn.locals('v128', 3) as [Local, Local, Local];
  const values = fn.locals('v128', 8);
  const field = fieldOf(matrix);
  const narrow = (first: number) => integers.narrowToShorts(get(values[first]!), get(values[first + 1]!));
  /** Sixteen columns: four words of bytes. */
  const storeHalf = (half: number): Code => [
    set(
      inverse,
      integers.shuffleBytes(integers.narrowToBytes(narrow(half * 4), narrow(half * 4 + 2)), EVEN_ODD),
    ),
    [0, 1, 2, 3].map((word) =>
      integers.storeWord(get(target), get(inverse), word, (half * 4 + word) * STEP_BYTES),
    ),
  ];
  fn.body([
    set(blocks, field(MATRIX.blocks)),
    overItemRows([item, row, end], field(MATRIX.rows), [
      set(source, add(field(MATRIX.source), multiply(get(row), field(MATRIX.sourceRowBytes)))),
      set(target, inTile(field(MATRIX.input), row, field(MATRIX.inputTileBytes))),
      loopOver(block, int(0), get(blocks), 1, [
        set(largest, vector.floats(SMALLEST)),
        values.map((value, index) => [
          set(value, vector.load(get(source), index * 16)),
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
        storeHalf(0),
        storeHalf(1),
        set(sum, integers.toFloats(get(sum))),
        scalar.store(get(target), get(scale), ROUNDED_SCALE),
        scalar.store(get(target), scalar.multiply(get(scale), acrossLanes(sum, scalar.add)), ROUNDED_SUM),
        set(source, add(get(source), int(BLOCK_COLUMNS * 4))),
        set(target, add(get(target), int(ROUNDED_BLOCK_BYTES))),
      ]),
    ]),
  ]);
  return fn;
}
