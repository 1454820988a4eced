import {
  add,
  type Code,
  get,
  ifElse,
  int,
  type Local,
  lessThan,
  loopOver,
  multiply,
  set,
  subtract,
  vector,
} from './code.ts';
import type { WasmFunction } from './module.ts';
import { type Locals4, type Names, SPAN } from './registers.ts';
import type { KernelShape } from './shape.ts';

/** Adds weights · values of a page to the sums of `block` queries, SPAN vectors of the head at a time. */
export function mix(
  fn: WasmFunction,
  { headDim, pagePositions }: KernelShape,
  names: Names,
  query: Local,
  page: Local,
  pageStart: Local,
  block: number,
): Code {
  const headBytes = headDim * 4;
  const [at, weight, weightEnd, valueAt] = fn.locals('i32', 4) as Locals4;
  const sum = fn.local('i32');
  const weightOf = fn.locals('i32', block);
  const [value, first] = fn.locals('v128', 2) as [Local, Local];
  const sums = Array.from({ length: block }, () => fn.locals('v128', SPAN));
  const splat = (index: number): Code => vector.loadSplat(add(get(weightOf[index]!), get(weight)));
  const turn = (width: number): Code => {
    const overSums = (body: (local: Local, offset: number) => Code): Code =>
      sums.map((row, index) =>
        row.slice(0, width).map((local, lane) => body(local, index * headBytes + lane * 16)),
      );
    return [
      set(sum, add(add(get(names.sumTile), multiply(get(query), int(headBytes))), get(at))),
      overSums((local, offset) => set(local, vector.load(get(sum), offset))),
      set(valueAt, add(get(page), get(at))),
      loopOver(weight, int(0), get(weightEnd), 4, [
        set(first, splat(0)),
        Array.from({ length: width }, (_, lane) => [
          set(value, vector.load(get(valueAt), lane * 16)),
          sums.map((row, index) =>
            set(
              row[lane]!,
              vector.multiplyAdd(index === 0 ? get(first) : splat(index), get(value), get(row[lane]!)),
            ),
          ),
        ]),
        set(valueAt, add(get(valueAt), int(headBytes))),
      ]),
      overSums((local, offset) => vector.store(get(sum), get(local), offset)),
    ];
  };
  const whole = Math.floor(headDim / 4 / SPAN) * SPAN * 16;
  const rest = (headDim / 4) % SPAN;
  return [
    // Slots behind the item's last position may hold anything: they are not read.
    set(weightEnd, multiply(subtract(get(names.positions), get(pageStart)), int(4))),
    ifElse(lessThan(int(pagePositions * 4), get(weightEnd)), set(weightEnd, int(pagePositions * 4))),
    set(
      weightOf[0]!,
      add(add(get(names.scores), multiply(get(query), get(names.stride))), multiply(get(pageStart), int(4))),
    ),
    weightOf.slice(1).map((local, index) => set(local, add(get(weightOf[index]!), get(names.stride)))),
    loopOver(at, int(0), int(whole), SPAN * 16, turn(SPAN)),
    rest > 0 ? turn(rest) : [],
  ];
}
