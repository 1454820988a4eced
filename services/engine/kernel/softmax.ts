import {
  add,
  type Code,
  divide,
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
import { Exponential } from './exponential.ts';
import type { WasmFunction } from './module.ts';
import type { Locals4, Names } from './registers.ts';
import type { KernelLayout } from './shape.ts';

/** Scores of each query become exp(score − largest), 0 beyond its row's own position; 1 / Σ goes to `inverses`. */
export function softmax(
  fn: WasmFunction,
  names: Names,
  query: Local,
  group: number,
  layout: KernelLayout,
): Code {
  const [row, end, at, bound] = fn.locals('i32', 4) as Locals4;
  const locals: ExpLocals = {
    at,
    vectors: fn.locals('v128', 4) as Locals4,
    exponential: new Exponential(fn),
  };
  const [, total, x] = locals.vectors;
  const turn = [
    set(row, add(get(names.scores), multiply(get(query), get(names.stride)))),
    // One behind the last score that this row sees.
    set(
      end,
      add(
        get(row),
        multiply(
          add(
            load(
              multiply(
                add(get(names.firstRow), remainder(divide(get(query), int(group)), get(names.rows))),
                int(4),
              ),
              layout.positions,
            ),
            int(1),
          ),
          int(4),
        ),
      ),
    ),
    set(bound, add(get(row), get(names.stride))),
    loopOver(at, get(end), get(bound), 4, scalar.store(get(at), scalar.floats(Number.NEGATIVE_INFINITY))),
    shiftedExps(locals, [get(row), get(end), get(bound)], vector.store(get(at), get(x))),
    scalar.store(
      add(get(names.inverses), multiply(get(query), int(4))),
      scalar.divide(scalar.floats(1), acrossLanes(total, scalar.add)),
    ),
  ];
  return [locals.exponential.constants, loopOver(query, int(0), get(names.queries), 1, turn)];
}

/** An address, and vectors: the largest value in all lanes, lanes that sum to Σ exp, the exp at hand, and one of any use; what makes exps. */
export interface ExpLocals {
  readonly at: Local;
  readonly vectors: Locals4;
  readonly exponential: Exponential;
}

/**
 * exp(value − largest) of floats from `start` to `bound`, whose largest is before `end`, a vector at a time: `each` has it and its
 * address. The constants of `exponential` are set. (Milakov & Gimelshein 2018, safe softmax)
 */
export function shiftedExps(
  { at, vectors: [largest, total, x, n], exponential }: ExpLocals,
  [start, end, bound]: readonly [Code, Code, Code],
  each: Code = [],
): Code {
  return [
    set(largest, vector.floats(Number.NEGATIVE_INFINITY)),
    loopOver(at, start, end, 16, set(largest, vector.max(get(largest), vector.load(get(at))))),
    set(largest, vector.splat(acrossLanes(largest, scalar.max))),
    set(total, vector.floats(0)),
    loopOver(at, start, bound, 16, [
      set(x, vector.subtract(vector.load(get(at)), get(largest))),
      exponential.of(x, n),
      each,
      set(total, vector.add(get(total), get(x))),
    ]),
  ];
}

/** One float of the four lanes of `value`. */
export const acrossLanes = (value: Local, fold: (left: Code, right: Code) => Code): Code =>
  fold(
    fold(vector.lane(get(value), 0), vector.lane(get(value), 1)),
    fold(vector.lane(get(value), 2), vector.lane(get(value), 3)),
  );
