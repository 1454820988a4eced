import {
  add,
  type Code,
  get,
  int,
  type Local,
  load,
  loopOver,
  multiply,
  remainder,
  scalar,
  set,
  vector,
} from './code.ts';
import type { Locals4, Locals7 } from './locals.ts';
import { WasmFunction } from './module.ts';
import { pageNumbers } from './page-numbers.ts';
import { overItemRows } from './row-items.ts';
import { headPageBytes, type KernelLayout, type KernelShape } from './shape.ts';

/** See `attentionKernel`. */
export function placeFunction(name: string, shape: KernelShape, layout: KernelLayout): WasmFunction {
  const { heads, kvHeads, headDim, pagePositions, numberBytes } = shape;
  const headBytes = headDim * 4;
  const half = headBytes / 2;
  const fn = new WasmFunction(name, 3);
  const [item, layer] = [fn.parameter(0), fn.parameter(1)];
  const [row, turn, source, page, target, head, at] = fn.locals('i32', 7) as Locals7;
  const [slot, end] = fn.locals('i32', 2) as [Local, Local];
  /** Halves that do not fill vectors are turned number by number. */
  const lanes = half % 16 === 0 ? vector : scalar;
  const [low, high, cos, sin] = fn.locals(lanes.type, 4) as Locals4;
  const four = fn.local('v128');
  const rotate = (scale: number): Code => {
    const scaled = (value: Code) => (scale === 1 ? value : lanes.multiply(value, lanes.floats(scale)));
    const turned = (value: Code, offset: number) =>
      lanes.store(add(get(target), get(at)), scaled(value), offset);
    return loopOver(at, int(0), int(half), lanes.bytes, [
      set(low, lanes.load(add(get(source), get(at)))),
      set(high, lanes.load(add(get(source), get(at)), half)),
      set(cos, lanes.load(add(get(turn), get(at)), layout.cos)),
      set(sin, lanes.load(add(get(turn), get(at)), layout.sin)),
      turned(lanes.subtract(lanes.multiply(get(low), get(cos)), lanes.multiply(get(high), get(sin))), 0),
      turned(lanes.add(lanes.multiply(get(high), get(cos)), lanes.multiply(get(low), get(sin))), half),
    ]);
  };
  const nextHead = set(source, add(get(source), int(headBytes)));
  const numbers = pageNumbers(numberBytes);
  /** The head at `source` goes to the page by `store`, four numbers at a time. */
  const write = (store: (number: Code) => Code): Code => [
    loopOver(at, int(0), int(headDim), 4, [
      set(four, vector.load(add(get(source), multiply(get(at), int(4))))),
      store(get(at)),
    ]),
    nextHead,
    set(page, add(get(page), int(headPageBytes(shape)))),
  ];
  const inPage = (number: Code): Code => add(get(page), multiply(number, int(numberBytes)));
  const writeKey = write((number) =>
    numbers.storeApart(inPage(add(multiply(number, int(pagePositions)), get(slot))), four, pagePositions),
  );
  const writeValue = write((number) =>
    numbers.store(inPage(add(multiply(get(slot), int(headDim)), number)), four),
  );
  fn.body(
    overItemRows([item, row, end], load(int(layout.rows)), [
      set(turn, multiply(load(multiply(get(row), int(4)), layout.positions), int(half))),
      set(source, add(multiply(get(row), int((heads + 2 * kvHeads) * headBytes)), int(layout.qkv))),
      set(slot, remainder(load(multiply(get(row), int(4)), layout.positions), int(pagePositions))),
      set(page, add(load(multiply(get(row), int(4)), layout.pages), get(layer))),
      loopOver(head, int(0), int(heads), 1, [
        set(target, get(source)),
        rotate(1 / Math.sqrt(headDim)),
        nextHead,
      ]),
      loopOver(head, int(0), int(kvHeads), 1, [set(target, get(source)), rotate(1), writeKey]),
      loopOver(head, int(0), int(kvHeads), 1, writeValue),
    ]),
  );
  return fn;
}
