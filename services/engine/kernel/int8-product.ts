import { add, type Code, get, int, integers, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';
import { MATRIX, productFunction, TILES } from './product.ts';
import { ROW_BYTES_START, ROW_LARGEST, ROW_SUM, SIXTEEN } from './round-rows.ts';
import type { DotProduct } from './target.ts';

/** Added to weights of seven bits, −63 … 63: the second operand of a product of bytes must not be negative. */
export const WEIGHT_MIDDLE = 64;
/** Vectors of a block of columns. */
const FOURS = SIXTEEN / 4;

/**
 * Rows of `roundRowsFunction` times weights of seven bits with a scale for each output, a vector of them for 4 outputs × 4
 * columns. Two products fit 16 bits, 2 · 127 · 127, and are summed in 32: integers are exact, as in the graph. (ADR 14)
 */
export const int8Product = (name: string, gated: boolean, dots: DotProduct): WasmFunction =>
  productFunction(name, gated, ({ fn, input, totals, spare, ofGroup, ofOutputs }) => {
    const [weights, scales] = [fn.local('i32'), fn.local('i32')];
    const [four, largest] = spare;
    const ones = fn.local('v128');
    // By fours each vector of a block has sums of its own: a sum would wait for the product before it.
    const apart = totals.map(() => (dots === 'fours' ? fn.locals('v128', FOURS - 1) : []));
    const weightsOf = (tile: number, index: number) => vector.load(get(weights), (tile * FOURS + index) * 16);
    const addDots = (tile: number, index: number): Code => {
      if (dots === 'fours') {
        const sum = [totals[tile]!, ...apart[tile]!][index]!;
        return set(sum, integers.dotBytesAdd(get(four), weightsOf(tile, index), get(sum)));
      }
      const pairs = integers.dotBytes(get(four), weightsOf(tile, index));
      const total = totals[tile]!;
      return set(total, vector.addInts(get(total), integers.dotShorts(pairs, get(ones))));
    };
    const sumOf = (tile: number): Code =>
      apart[tile]!.reduce((sum: Code, part) => vector.addInts(sum, get(part)), get(totals[tile]!));
    return {
      constants: set(ones, integers.shorts(1)),
      begin: [
        set(weights, ofGroup(MATRIX.weights, 64)),
        set(scales, ofOutputs(MATRIX.scales, 16)),
        // Σ (w + 64) · x = Σ w · x + 64 · Σ x
        set(four, vector.toInts(vector.loadSplat(get(input), ROW_SUM))),
        totals.map((total) => set(total, integers.subtractInts(vector.ints(0), get(four)))),
        apart.flat().map((sum) => set(sum, vector.ints(0))),
        set(largest, vector.loadSplat(get(input), ROW_LARGEST)),
        set(input, add(get(input), int(ROW_BYTES_START))),
      ],
      block: [
        Array.from({ length: FOURS }, (_, index) => [
          set(four, integers.loadFourSplat(get(input), index * 4)),
          totals.map((_, tile) => addDots(tile, index)),
        ]),
        set(weights, add(get(weights), int(TILES * 64))),
        set(input, add(get(input), int(SIXTEEN))),
      ],
      end: totals.map((total, tile) =>
        set(
          total,
          vector.multiply(
            vector.multiply(integers.toFloats(sumOf(tile)), vector.load(get(scales), tile * 16)),
            get(largest),
          ),
        ),
      ),
    };
  });
