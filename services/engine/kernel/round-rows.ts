import { acrossLanes } from './across-lanes.ts';
import { add, type Code, get, int, integers, type Local, loopOver, scalar, set, vector } from './code.ts';
import { WasmFunction } from './module.ts';

/** Columns rounded and multiplied in one turn. */
export const SIXTEEN = 16;
/** A rounded row: f32 largest value and 64 · Σ bytes, and behind them its bytes. */
export const ROW_LARGEST = 0;
export const ROW_SUM = 4;
export const ROW_BYTES_START = 16;

/** What the graph's rows are divided by besides their largest value: with it, every byte is the graph's. (ADR 14) */
const STEP = Math.fround(1 / 127);

/**
 * `name(source, target, blocks, rows)`: rows of blocks · 16 floats, one behind the other, become signed bytes by their own
 * largest value. A row of zeros becomes zeros.
 */
export function roundRowsFunction(name: string): WasmFunction {
  const fn = new WasmFunction(name, 4);
  const [source, target, blocks, rows] = [0, 1, 2, 3].map((index) => fn.parameter(index)) as [
    Local,
    Local,
    Local,
    Local,
  ];
  const [row, block, from, to] = fn.locals('i32', 4) as [Local, Local, Local, Local];
  const [largest, sum] = fn.locals('v128', 2) as [Local, Local];
  const values = fn.locals('v128', 4);
  const sixteen = (body: (value: Local) => Code): Code => [
    values.map((value, index) => [set(value, vector.load(get(from), index * 16)), body(value)]),
    set(from, add(get(from), int(SIXTEEN * 4))),
  ];
  const whole = (value: Local): Code => {
    const share = vector.divide(vector.divide(get(value), get(largest)), vector.floats(STEP));
    return [set(value, vector.toInts(vector.nearest(share))), set(sum, vector.addInts(get(sum), get(value)))];
  };
  const [a, b, c, d] = values.map((value) => get(value)) as [Code, Code, Code, Code];
  const bytes = integers.narrowToBytes(integers.narrowToShorts(a, b), integers.narrowToShorts(c, d));
  fn.body(
    loopOver(row, int(0), get(rows), 1, [
      set(from, get(source)),
      set(largest, vector.floats(0)),
      loopOver(block, int(0), get(blocks), 1, [
        sixteen((value) => set(largest, vector.max(get(largest), vector.absolute(get(value))))),
      ]),
      set(largest, vector.splat(acrossLanes(largest, scalar.max))),
      scalar.store(get(target), vector.lane(get(largest), 0), ROW_LARGEST),
      set(from, get(source)),
      set(sum, vector.ints(0)),
      set(to, get(target)),
      loopOver(block, int(0), get(blocks), 1, [
        sixteen(whole),
        vector.store(get(to), bytes, ROW_BYTES_START),
        set(to, add(get(to), int(SIXTEEN))),
      ]),
      set(sum, integers.toFloats(vector.shiftLeft(get(sum), 6))),
      scalar.store(get(target), acrossLanes(sum, scalar.add), ROW_SUM),
      set(source, get(from)),
      set(target, add(get(to), int(ROW_BYTES_START))),
    ]),
  );
  return fn;
}
