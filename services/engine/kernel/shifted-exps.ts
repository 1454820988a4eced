import { acrossLanes } from './across-lanes.ts';
import { add, type Code, get, type Local, lessThan, loopWhile, scalar, set, vector } from './code.ts';
import { Exponential } from './exponential.ts';
import type { WasmFunction } from './module.ts';

/** Pieces of `vectors` vectors each: the first one's address, where they end, and bytes from one to the next. */
export interface Pieces {
  readonly start: Code;
  readonly end: Code;
  readonly step: Code;
}

/** exp(value − largest) of floats that lie in pieces, and their sum. (Milakov & Gimelshein 2018, safe softmax) */
export class ShiftedExps {
  /** Goes before everything else, outside of loops. */
  readonly constants: Code;
  /** Afterwards: the largest value, and Σ exp(value − largest). */
  readonly largest: Code;
  readonly total: Code;
  readonly #exponential: Exponential;
  readonly #at: Local;
  readonly #largest: Local;
  readonly #values: readonly Local[];
  /** Neighbouring vectors are summed apart: no sum waits for the one before. */
  readonly #totals: readonly Local[];

  constructor(fn: WasmFunction, vectors: number) {
    this.#exponential = new Exponential(fn);
    this.constants = this.#exponential.constants;
    this.#at = fn.local('i32');
    this.#largest = fn.local('v128');
    this.#values = fn.locals('v128', vectors);
    this.#totals = fn.locals('v128', Math.min(vectors, 2));
    this.largest = vector.lane(get(this.#largest), 0);
    this.total = acrossLanes(this.#totals[0]!, scalar.add);
  }

  /** `kept`: the exps take the values' place. */
  over({ start, end, step }: Pieces, kept: boolean): Code {
    const [at, largest, totals] = [this.#at, this.#largest, this.#totals];
    const load = (index: number) => vector.load(get(at), index * 16);
    const totalOf = (index: number) => totals[index % totals.length]!;
    const overPieces = (body: Code): Code => [
      set(at, start),
      loopWhile(lessThan(get(at), end), [body, set(at, add(get(at), step))]),
    ];
    return [
      set(largest, vector.floats(Number.NEGATIVE_INFINITY)),
      overPieces(this.#values.map((_, index) => set(largest, vector.max(get(largest), load(index))))),
      set(largest, vector.splat(acrossLanes(largest, scalar.max))),
      totals.map((total) => set(total, vector.floats(0))),
      overPieces([
        this.#values.map((value, index) => set(value, vector.subtract(load(index), get(largest)))),
        this.#values.map((value) => this.#exponential.of(value)),
        kept ? this.#values.map((value, index) => vector.store(get(at), get(value), index * 16)) : [],
        this.#values.map((value, index) => set(totalOf(index), vector.add(get(totalOf(index)), get(value)))),
      ]),
      totals.slice(1).map((total) => set(totals[0]!, vector.add(get(totals[0]!), get(total)))),
    ];
  }
}
