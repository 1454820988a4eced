import { add, type Code, get, int, type Local, loopOver, multiply, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';
import { type Locals4, type Names, SPAN } from './registers.ts';
import type { KernelShape } from './shape.ts';

/** Scores of `block` queries against the keys of a page, SPAN positions at a time. */
export function score(
  fn: WasmFunction,
  { headDim, pagePositions }: KernelShape,
  names: Names,
  query: Local,
  page: Local,
  pageStart: Local,
  block: number,
): Code {
  const headBytes = headDim * 4;
  const unroll = [4, 2].find((count) => headDim % (4 * count) === 0) ?? 1;
  const [position, at, from, keyAt] = fn.locals('i32', 4) as Locals4;
  const [key, first] = fn.locals('v128', 2) as [Local, Local];
  const sums = Array.from({ length: block }, () => fn.locals('v128', SPAN));
  const step = (offset: number): Code => {
    const query = (index: number) => vector.load(get(from), index * headBytes + offset);
    return [
      set(first, query(0)),
      Array.from({ length: SPAN }, (_, lane) => [
        set(key, vector.load(get(keyAt), lane * headBytes + offset)),
        sums.map((row, index) =>
          set(
            row[lane]!,
            vector.multiplyAdd(index === 0 ? get(first) : query(index), get(key), get(row[lane]!)),
          ),
        ),
      ]),
    ];
  };
  const target = add(
    add(get(names.scores), multiply(get(query), get(names.stride))),
    multiply(add(get(pageStart), get(position)), int(4)),
  );
  return loopOver(position, int(0), int(pagePositions), SPAN, [
    sums.flat().map((sum) => set(sum, vector.floats(0))),
    set(keyAt, add(get(page), multiply(get(position), int(headBytes)))),
    set(from, add(get(names.queryTile), multiply(get(query), int(headBytes)))),
    loopOver(at, int(0), int(headBytes), unroll * 16, [
      Array.from({ length: unroll }, (_, index) => step(index * 16)),
      set(keyAt, add(get(keyAt), int(unroll * 16))),
      set(from, add(get(from), int(unroll * 16))),
    ]),
    set(at, target),
    sums.map((row) => [vector.store(get(at), laneSums(row)), set(at, add(get(at), get(names.stride)))]),
  ]);
}

/** [Σ a, Σ b, Σ c, Σ d] of four vectors. */
function laneSums(sums: readonly Local[]): Code {
  const [a, b, c, d] = sums.map((sum) => get(sum)) as [Code, Code, Code, Code];
  const fold = (left: Code, right: Code): Code =>
    vector.add(vector.shuffle(left, right, [0, 4, 1, 5]), vector.shuffle(left, right, [2, 6, 3, 7]));
  const [ab, cd] = [fold(a, b), fold(c, d)];
  return vector.add(vector.shuffle(ab, cd, [0, 1, 4, 5]), vector.shuffle(ab, cd, [2, 3, 6, 7]));
}
