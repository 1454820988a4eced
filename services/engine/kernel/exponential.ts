import { type Code, get, type Local, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';

/** Moshier, Cephes 2.8, expf. */
const COEFFICIENTS = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
];
const FLOATS = [Math.LOG2E, 0.693359375, -2.1219444e-4, 1, -125.5, ...COEFFICIENTS];
const EXPONENT_BIAS = 127;

/**
 * exp of vectors in one function. Its constants are locals: V8 puts a vector constant together from two halves wherever it
 * stands, in every turn of a loop, and a dozen of them took longer than the arithmetic.
 */
export class Exponential {
  readonly #floats: readonly Local[];
  readonly #bias: Local;

  constructor(fn: WasmFunction) {
    this.#floats = fn.locals('v128', FLOATS.length);
    this.#bias = fn.local('v128');
  }

  /** Goes before everything of `of`, outside of loops. */
  get constants(): Code {
    return [
      this.#floats.map((local, index) => set(local, vector.floats(FLOATS[index]!))),
      set(this.#bias, vector.ints(EXPONENT_BIAS)),
    ];
  }

  /** x ← exp(x) for x ≤ 0, within 2 units in the last place; 0 below −87. `n` is of any use. */
  of(x: Local, n: Local): Code {
    const [log2e, ln2High, ln2Low, one, lowest, leading, ...others] = this.#floats.map((local) =>
      get(local),
    ) as [Code, Code, Code, Code, Code, Code, ...Code[]];
    const polynomial = others.reduce(
      (sum, coefficient) => vector.multiplyAdd(sum, get(x), coefficient),
      leading,
    );
    const power = vector.shiftLeft(vector.addInts(vector.toInts(get(n)), get(this.#bias)), 23);
    const zeroed = (value: Code): Code => vector.andNot(value, vector.lessThan(get(n), lowest));
    return [
      set(n, vector.nearest(vector.multiply(get(x), log2e))),
      set(x, vector.negativeMultiplyAdd(get(n), ln2High, get(x))),
      set(x, vector.negativeMultiplyAdd(get(n), ln2Low, get(x))),
      set(
        x,
        zeroed(
          vector.multiply(
            vector.add(vector.multiplyAdd(vector.multiply(get(x), get(x)), polynomial, get(x)), one),
            power,
          ),
        ),
      ),
    ];
  }
}
