import { type Code, get, type Local, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';

/** Moshier, Cephes 2.8, expf. */
const COEFFICIENTS = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
];
/** What is added to it is rounded to the nearest integer, in the low bits of the sum: floats of this size have no fractions. */
const ROUNDER = 1.5 * 2 ** 23;
const FLOATS = [Math.LOG2E, 0.693359375, -2.1219444e-4, 1, -125.5, ROUNDER, ...COEFFICIENTS];
const EXPONENT_BIAS = 127;

/**
 * exp of vectors in one function. Its constants are locals: V8 puts a vector constant together from two halves wherever it
 * stands, in every turn of a loop, and a dozen of them took longer than the arithmetic.
 */
export class Exponential {
  readonly #floats: readonly Local[];
  readonly #bias: Local;
  /** Of the exponent of 2: with `ROUNDER`, and by itself. */
  readonly #sum: Local;
  readonly #n: Local;

  constructor(fn: WasmFunction) {
    this.#floats = fn.locals('v128', FLOATS.length);
    [this.#bias, this.#sum, this.#n] = fn.locals('v128', 3) as [Local, Local, Local];
  }

  /** Goes before everything of `of`, outside of loops. */
  get constants(): Code {
    return [
      this.#floats.map((local, index) => set(local, vector.floats(FLOATS[index]!))),
      set(this.#bias, vector.ints(EXPONENT_BIAS)),
    ];
  }

  /** x ← exp(x) for x ≤ 0, within 2 units in the last place; 0 below −87. */
  of(x: Local): Code {
    const [log2e, ln2High, ln2Low, one, lowest, rounder, leading, ...others] = this.#floats.map((local) =>
      get(local),
    ) as [Code, Code, Code, Code, Code, Code, Code, ...Code[]];
    const [sum, n] = [this.#sum, this.#n];
    const polynomial = others.reduce(
      (sum, coefficient) => vector.multiplyAdd(sum, get(x), coefficient),
      leading,
    );
    const power = vector.shiftLeft(vector.addInts(get(sum), get(this.#bias)), 23);
    const zeroed = (value: Code): Code => vector.andNot(value, vector.lessThan(get(n), lowest));
    return [
      set(sum, vector.add(vector.multiply(get(x), log2e), rounder)),
      set(n, vector.subtract(get(sum), rounder)),
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
