import { add, type Code, get, int, integers, type Local, set, vector } from './code.ts';
import { MATRIX, TILES } from './matrix.ts';
import type { WasmFunction } from './module.ts';
import { type Outcome, productFunction } from './product.ts';
import { ROW_BYTES_START, ROW_LARGEST, ROW_SUM, SIXTEEN } from './rounded-row.ts';
import { FOUR_BYTES, STEP_BYTES } from './row-tiles.ts';
import type { Target } from './target.ts';

/** Added to weights of seven bits, −63 … 63: the second operand of a product of bytes must not be negative. */
export const WEIGHT_MIDDLE = 64;
/** Vectors of a block of columns. */
const FOURS = SIXTEEN / FOUR_BYTES;
/** Sums that are under way at once, so that none waits for the product before. */
const SUMS = 4;

/**
 * Rows of `roundRowsFunction` times weights of seven bits with a scale for each output, a vector of them for 4 outputs × 4
 * columns. Two products fit 16 bits, 2 · 127 · 127, and are summed in 32: integers are exact, as in the graph. (ADR 14)
 */
export const int8Product = (
  name: string,
  outcome: Outcome,
  { dots, registerVectors }: Target,
): WasmFunction =>
  productFunction(name, outcome, (fn) => {
    const [weights, bytes, scales] = fn.locals('i32', 3) as [Local, Local, Local];
    const [four, ones] = fn.locals('v128', 2) as [Local, Local];
    const values = fn.locals('v128', TILES);
    const addDots = (sum: Local, tile: number): Code => {
      const value = get(values[tile]!);
      if (dots === 'fours') return set(sum, integers.dotBytesAdd(get(four), value, get(sum)));
      const pairs = integers.dotBytes(get(four), value);
      return set(sum, vector.addInts(get(sum), integers.dotShorts(pairs, get(ones))));
    };
    return {
      // Sums, a vector of weights for each tile and one row's bytes are all the registers.
      rowCounts: registerVectors === 2 ? [8, 4, 2, 1] : [4, 2, 1],
      constants: dots === 'pairs' ? set(ones, integers.shorts(1)) : [],
      of({ input, totals, ofGroup, ofOutputs }) {
        const apart = Math.max(1, SUMS / totals.length);
        /** [rows, TILES, apart] */
        const sums = totals.map((row) =>
          row.map((total) => [total, ...fn.locals('v128', apart - 1)] as [Local, ...Local[]]),
        );
        const columns = (index: number): Code => [
          values.map((value, tile) => set(value, vector.load(get(weights), (index * TILES + tile) * 16))),
          sums.map((row, at) => [
            set(four, integers.loadFourSplat(get(bytes), index * STEP_BYTES + at * FOUR_BYTES)),
            row.map((parts, tile) => addDots(parts[index % apart]!, tile)),
          ]),
        ];
        return {
          begin: [
            set(weights, ofGroup(MATRIX.weights, 64)),
            set(bytes, add(get(input), int(ROW_BYTES_START))),
            // Σ (w + 64) · x = Σ w · x + 64 · Σ x
            sums.map((row, at) => [
              set(four, vector.toInts(vector.loadSplat(get(input), ROW_SUM + at * FOUR_BYTES))),
              row.map(([total, ...others]) => [
                set(total, integers.subtractInts(vector.ints(0), get(four))),
                others.map((sum) => set(sum, vector.ints(0))),
              ]),
            ]),
          ],
          block: [
            Array.from({ length: FOURS }, (_, index) => columns(index)),
            set(weights, add(get(weights), int(TILES * 64))),
            set(bytes, add(get(bytes), int(FOURS * STEP_BYTES))),
          ],
          end: [
            set(scales, ofOutputs(MATRIX.scales, 16)),
            sums.map((row, at) => [
              set(four, vector.loadSplat(get(input), ROW_LARGEST + at * FOUR_BYTES)),
              row.map(([total, ...others], tile) => {
                const sum = others.reduce((sum: Code, part) => vector.addInts(sum, get(part)), get(total));
                const scaled = vector.multiply(integers.toFloats(sum), vector.load(get(scales), tile * 16));
                return set(total, vector.multiply(scaled, get(four)));
              }),
            ]),
          ],
        };
      },
    };
  });
