import { everyLane } from './across-lanes.ts';
import {
  add,
  type Code,
  get,
  ifElse,
  int,
  integers,
  type Local,
  loopOver,
  scalar,
  set,
  vector,
} from './code.ts';
import type { WasmFunction } from './module.ts';
import { FOUR_BYTES, STEP_BYTES, TILE_ROWS } from './row-tiles.ts';

/** Columns rounded and multiplied in one turn. */
export const SIXTEEN = 16;
/** A tile of rounded rows: each row's f32 largest value, each row's 64 · Σ bytes, and behind them the bytes. */
export const ROW_LARGEST = 0;
export const ROW_SUM = STEP_BYTES;
export const ROW_BYTES_START = 2 * STEP_BYTES;

/** What the graph's rows are divided by besides their largest value: with it, every byte is the graph's. (ADR 14) */
const STEP = Math.fround(1 / 127);
/** What zeros are divided by. */
export const SMALLEST = 1e-30;
/**
 * As long as value · (127 / largest) is as near to a whole number, one multiplication gives the byte that the graph's two divisions give:
 * in float they differ by far less than what is left to the middle. Beyond it both are done.
 */
const SURE = 0.4999;

export const roundedTileBytes = (columns: number): number => ROW_BYTES_START + columns * TILE_ROWS;

/**
 * How a row's floats become signed bytes by their largest value, in a function. Bytes are the graph's if values are divided twice,
 * as there; a multiplication makes another byte only of what lies in the middle between two.
 */
export class RoundedRow {
  /**
   * In every lane: to be found before the row is rounded, and more than nothing for a row of zeros. NaN where a value of the
   * row is: bytes cannot say that, but each of their products is multiplied by this.
   */
  readonly largest: Local;
  /** Goes before the row's largest value is looked for. */
  readonly begin: Code;
  readonly #by: 'divisions' | 'multiplication';
  readonly #from: Local;
  readonly #to: Local;
  readonly #block: Local;
  readonly #sum: Local;
  readonly #inverse: Local;
  readonly #apart: Local;
  readonly #values: readonly Local[];
  readonly #others: readonly Local[];

  constructor(fn: WasmFunction, by: 'divisions' | 'multiplication') {
    this.#by = by;
    [this.#from, this.#to, this.#block] = fn.locals('i32', 3) as [Local, Local, Local];
    [this.largest, this.#sum, this.#inverse, this.#apart] = fn.locals('v128', 4) as [
      Local,
      Local,
      Local,
      Local,
    ];
    this.#values = fn.locals('v128', SIXTEEN / FOUR_BYTES);
    this.#others = fn.locals('v128', SIXTEEN / FOUR_BYTES);
    this.begin = set(this.largest, vector.floats(SMALLEST));
  }

  /** Finds `largest` of `blocks` · 16 floats. */
  findLargest(source: Code, blocks: Code): Code {
    // Of every fourth vector apart, so that none waits for the one before.
    const maxima = this.#values;
    return [
      this.begin,
      maxima.map((most) => set(most, get(this.largest))),
      this.#overBlocks(
        source,
        blocks,
        maxima.map((most, index) =>
          set(most, vector.maxSize(get(most), vector.absolute(this.#loaded(index)))),
        ),
      ),
      maxima.map((most) => set(this.largest, vector.maxSize(get(this.largest), get(most)))),
      everyLane(this.largest, vector.maxSize),
    ];
  }

  /** Rounds them to the row at `target` of a tile. */
  round(source: Code, target: Local, blocks: Code): Code {
    const [values, sum, to] = [this.#values, this.#sum, this.#to];
    const [a, b, c, d] = values.map((value) => get(value)) as [Code, Code, Code, Code];
    const bytes = integers.narrowToBytes(integers.narrowToShorts(a, b), integers.narrowToShorts(c, d));
    return [
      scalar.store(get(target), vector.lane(get(this.largest), 0), ROW_LARGEST),
      set(this.#inverse, vector.divide(vector.floats(127), get(this.largest))),
      set(sum, vector.ints(0)),
      set(to, add(get(target), int(ROW_BYTES_START))),
      this.#overBlocks(source, blocks, [
        this.#by === 'divisions' ? this.#quotients : this.#products,
        values.map((value) => [
          set(value, vector.toIntsWithin(get(value))),
          set(sum, vector.addInts(get(sum), get(value))),
        ]),
        set(values[0]!, bytes),
        values.map((_, index) => integers.storeWord(get(to), get(values[0]!), index, index * STEP_BYTES)),
        set(to, add(get(to), int((SIXTEEN / FOUR_BYTES) * STEP_BYTES))),
      ]),
      everyLane(sum, vector.addInts),
      set(sum, integers.toFloats(vector.shiftLeft(get(sum), 6))),
      scalar.store(get(target), vector.lane(get(sum), 0), ROW_SUM),
    ];
  }

  #overBlocks(source: Code, blocks: Code, body: Code): Code {
    return [
      set(this.#from, source),
      loopOver(this.#block, int(0), blocks, 1, [
        body,
        set(this.#from, add(get(this.#from), int(SIXTEEN * 4))),
      ]),
    ];
  }

  #loaded(index: number): Code {
    return vector.load(get(this.#from), index * 16);
  }

  #multiplied(index: number): Code {
    return vector.multiply(this.#loaded(index), get(this.#inverse));
  }

  get #products(): Code {
    return this.#values.map((value, index) => set(value, vector.nearest(this.#multiplied(index))));
  }

  /** What `#products` are, unless one of them is too near to the middle between two whole numbers to tell. */
  get #quotients(): Code {
    const [apart, wholes] = [this.#apart, this.#others];
    const divided = (index: number): Code =>
      vector.divide(vector.divide(this.#loaded(index), get(this.largest)), vector.floats(STEP));
    return [
      set(apart, vector.floats(0)),
      this.#values.map((value, index) => [
        set(value, this.#multiplied(index)),
        set(wholes[index]!, vector.nearest(get(value))),
        set(apart, vector.max(get(apart), vector.absolute(vector.subtract(get(value), get(wholes[index]!))))),
        set(value, get(wholes[index]!)),
      ]),
      ifElse(
        vector.any(vector.lessThan(vector.floats(SURE), get(apart))),
        this.#values.map((value, index) => set(value, vector.nearest(divided(index)))),
      ),
    ];
  }
}
