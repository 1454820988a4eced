import {
  add,
  atomic,
  call,
  get,
  ifElse,
  int,
  type Local,
  lessThan,
  load,
  loopOver,
  loopWhile,
  multiply,
  set,
  subtract,
} from './code.ts';
import { fieldOf } from './description.ts';
import { rowsOf } from './matrix.ts';
import { WasmFunction } from './module.ts';
import { rowItemsOf } from './row-items.ts';

/** A linear with factors at work, in words from its address on. */
export const ADAPTED = {
  matrix: 0,
  /** The first of the matrices A, one behind the other, that multiply rows of each depth, and items of them all. */
  factors: 1,
  factorItems: 2,
  /** The first of the parts of what they put out, and how many there are. */
  lows: 3,
  lowParts: 4,
  /** Items of A that are still to be done, and the run whose rows were rounded last behind them. */
  left: 5,
  rounded: 6,
  /** Address of the number of the run at hand. */
  run: 7,
} as const;
export const ADAPTED_WORDS = 8;

/** Functions of the same module that do parts of it. */
export interface AdaptedParts {
  readonly factorProduct: string;
  readonly lowRound: string;
  /** Multiplies by the linear's matrix and adds what B makes of what is rounded. */
  readonly product: string;
}

/**
 * `name(item, adapted, scratch)`: W·x + B·(A·x) of a linear's rows in one job: first items of A, and whoever ends the last of them
 * rounds what they put out, then the matrix's own. Items are taken in order, so whoever waits here waits for items that are at work.
 */
export function adaptedProduct(
  name: string,
  { factorProduct, lowRound, product }: AdaptedParts,
): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, adapted, scratch] = [fn.parameter(0), fn.parameter(1), fn.parameter(2)];
  const [low, matrix] = fn.locals('i32', 2) as [Local, Local];
  const field = fieldOf(adapted);
  const place = (index: number) => add(get(adapted), int(index * 4));
  const run = load(field(ADAPTED.run));
  const lowItems = multiply(field(ADAPTED.lowParts), rowItemsOf(rowsOf(matrix)));
  fn.body([
    set(matrix, field(ADAPTED.matrix)),
    ifElse(
      lessThan(get(item), field(ADAPTED.factorItems)),
      [
        call(factorProduct, [get(item), field(ADAPTED.factors), get(scratch)]),
        ifElse(lessThan(atomic.add(place(ADAPTED.left), int(-1)), int(2)), [
          atomic.store(place(ADAPTED.left), field(ADAPTED.factorItems)),
          loopOver(low, int(0), lowItems, 1, [call(lowRound, [get(low), field(ADAPTED.lows), get(scratch)])]),
          atomic.store(place(ADAPTED.rounded), run),
        ]),
      ],
      [
        loopWhile(subtract(atomic.load(place(ADAPTED.rounded)), run), []),
        call(product, [subtract(get(item), field(ADAPTED.factorItems)), get(matrix), get(scratch)]),
      ],
    ),
  ]);
  return fn;
}
