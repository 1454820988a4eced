import { Activation } from './activation.ts';
import { add, get, int, loopOver, multiply, set, vector } from './code.ts';
import { fieldOf } from './description.ts';
import type { Locals7 } from './locals.ts';
import { WasmFunction } from './module.ts';
import { LANES, TILES } from './product.ts';
import { overItemRows } from './row-items.ts';

/** What an activation works on, in words from its address on. */
export const ACTIVE = {
  /** [rows, 2 · columns] f32, gates before ups, and [rows, columns]. */
  source: 0,
  target: 1,
  /** Bytes of a row of the target, a multiple of 32. */
  rowBytes: 2,
  rows: 3,
} as const;
export const ACTIVE_WORDS = 4;

/** `name(item, active, scratch)` for an item's rows: silu(gate) · up, where something is added to either before. */
export function activateFunction(name: string): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, active] = [fn.parameter(0), fn.parameter(1)];
  const [row, end, at, source, target, rowBytes] = fn.locals('i32', 7) as Locals7;
  const activation = new Activation(fn, TILES);
  const ups = fn.locals('v128', TILES);
  const field = fieldOf(active);
  const gates = add(get(source), get(at));
  fn.body([
    activation.constants,
    set(rowBytes, field(ACTIVE.rowBytes)),
    overItemRows([item, row, end], field(ACTIVE.rows), [
      set(source, add(field(ACTIVE.source), multiply(get(row), multiply(get(rowBytes), int(2))))),
      set(target, add(field(ACTIVE.target), multiply(get(row), get(rowBytes)))),
      loopOver(at, int(0), get(rowBytes), TILES * LANES * 4, [
        ups.map((up, tile) => set(up, vector.load(add(gates, get(rowBytes)), tile * 16))),
        activation.of(ups, gates, 0),
        ups.map((up, tile) => vector.store(add(get(target), get(at)), get(up), tile * 16)),
      ]),
    ]),
  ]);
  return fn;
}
