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
import { findMatrix, MATRIX } from './matrix.ts';
import { WasmFunction } from './module.ts';
import { overItemRows, rowItemsOf } from './row-items.ts';
import { FOUR_BYTES, inTile, STEP_BYTES, TILE_ROWS } from './row-tiles.ts';

/** Columns rounded and multiplied in one turn. */
export const SIXTEEN = 16;
/** A tile of rounded rows: each row's f32 largest value, each row's 64 · Σ bytes, and behind them the bytes. */
export const ROW_LARGEST = 0;
export const ROW_SUM = STEP_BYTES;
export const ROW_BYTES_START = 2 * STEP_BYTES;

/** What the graph's rows are divided by besides their largest value: with it, every byte is the graph's. (ADR 14) */
const STEP = Math.fround(1 / 127);

export const roundedTileBytes = (columns: number): number => ROW_BYTES_START + columns * TILE_ROWS;

/**
 * `name(item, matrix, scratch)`: the item's rows of the matrix's source, blocks · 16 floats each, become signed bytes by their own
 * largest value. A row of zeros becomes zeros. Bytes are the graph's if values are divided twice, as there; a multiplication is faster
 * and makes another byte only of what lies in the middle between two.
 */
export function roundRowsFunction(name: string, by: 'divisions' | 'multiplication'): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, matrix] = [fn.parameter(0), fn.parameter(1)];
  const [row, end, block, blocks, source, from, to] = fn.locals('i32', 7) as Locals7;
  const target = fn.local('i32');
  const [largest, sum, inverse] = fn.locals('v128', 3) as [Local, Local, Local];
  const values = fn.locals('v128', SIXTEEN / FOUR_BYTES);
  const field = fieldOf(matrix);
  const sixteen = (body: (value: Local) => Code): Code => [
    values.map((value, index) => [set(value, vector.load(get(from), index * 16)), body(value)]),
    set(from, add(get(from), int(SIXTEEN * 4))),
  ];
  const whole = (value: Local): Code => {
    const share =
      by === 'divisions'
        ? vector.divide(vector.divide(get(value), get(largest)), vector.floats(STEP))
        : vector.multiply(get(value), get(inverse));
    return [set(value, vector.toInts(vector.nearest(share))), set(sum, vector.addInts(get(sum), get(value)))];
  };
  const [a, b, c, d] = values.map((value) => get(value)) as [Code, Code, Code, Code];
  const bytes = integers.narrowToBytes(integers.narrowToShorts(a, b), integers.narrowToShorts(c, d));
  fn.body([
    findMatrix([item, matrix], rowItemsOf(field(MATRIX.rows))),
    set(blocks, field(MATRIX.blocks)),
    overItemRows([item, row, end], field(MATRIX.rows), [
      set(source, add(field(MATRIX.source), multiply(get(row), field(MATRIX.sourceRowBytes)))),
      set(target, inTile(field(MATRIX.input), row, field(MATRIX.inputTileBytes))),
      set(from, get(source)),
      set(largest, vector.floats(0)),
      loopOver(block, int(0), get(blocks), 1, [
        sixteen((value) => set(largest, vector.max(get(largest), vector.absolute(get(value))))),
      ]),
      set(largest, vector.splat(acrossLanes(largest, scalar.max))),
      set(inverse, vector.divide(vector.floats(127), get(largest))),
      scalar.store(get(target), vector.lane(get(largest), 0), ROW_LARGEST),
      set(from, get(source)),
      set(sum, vector.ints(0)),
      set(to, add(get(target), int(ROW_BYTES_START))),
      loopOver(block, int(0), get(blocks), 1, [
        sixteen(whole),
        set(values[0]!, bytes),
        values.map((_, index) => integers.storeWord(get(to), get(values[0]!), index, index * STEP_BYTES)),
        set(to, add(get(to), int((SIXTEEN / FOUR_BYTES) * STEP_BYTES))),
      ]),
      set(sum, integers.toFloats(vector.shiftLeft(get(sum), 6))),
      scalar.store(get(target), acrossLanes(sum, scalar.add), ROW_SUM),
    ]),
  ]);
  return fn;
}
