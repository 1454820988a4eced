import {
  add,
  type Code,
  divide,
  get,
  int,
  type Local,
  lessThan,
  load,
  loopOver,
  loopWhile,
  multiply,
  remainder,
  scalar,
  set,
} from './code.ts';
import type { Names } from './locals.ts';
import type { WasmFunction } from './module.ts';
import { groupOf, type KernelLayout, type KernelShape } from './shape.ts';
import { ShiftedExps } from './shifted-exps.ts';

/** Scores of each query become exp(score − largest), 0 beyond its row's own position; 1 / Σ goes to `inverses`. */
export function softmax(
  fn: WasmFunction,
  shape: KernelShape,
  names: Names,
  query: Local,
  layout: KernelLayout,
): Code {
  const { pagePositions } = shape;
  const [at, row, position] = fn.locals('i32', 3) as [Local, Local, Local];
  const exps = new ShiftedExps(fn, pagePositions / 4);
  const rowOfItem = remainder(divide(get(query), int(groupOf(shape))), get(names.rows));
  const ofPosition = add(
    multiply(divide(get(position), int(pagePositions)), get(names.scoresPage)),
    multiply(remainder(get(position), int(pagePositions)), int(4)),
  );
  return [
    exps.constants,
    loopOver(query, int(0), get(names.queries), 1, [
      set(row, add(get(names.scores), multiply(get(query), int(pagePositions * 4)))),
      set(
        position,
        add(load(multiply(add(get(names.firstRow), rowOfItem), int(4)), layout.positions), int(1)),
      ),
      // Behind the last score that this row sees.
      set(at, add(get(row), ofPosition)),
      loopWhile(lessThan(get(at), get(names.scoresEnd)), [
        scalar.store(get(at), scalar.floats(Number.NEGATIVE_INFINITY)),
        set(position, add(get(position), int(1))),
        set(at, add(get(row), ofPosition)),
      ]),
      exps.over({ start: get(row), end: get(names.scoresEnd), step: get(names.scoresPage) }, true),
      scalar.store(
        add(get(names.inverses), multiply(get(query), int(4))),
        scalar.divide(scalar.floats(1), exps.total),
      ),
    ]),
  ];
}
