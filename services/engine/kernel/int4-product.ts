import { add, type Code, get, int, integers, type Local, set, vector } from './code.ts';
import { LANES, MATRIX, TILES } from './matrix.ts';
import type { WasmFunction } from './module.ts';
import { type Outcome, productFunction } from './product.ts';
import { ROUNDED_BLOCK_BYTES, ROUNDED_SCALE, ROUNDED_SUM } from './round-blocks.ts';
import { FOUR_BYTES, STEP_BYTES } from './row-tiles.ts';
import type { Target } from './target.ts';

/**
 * Rows of `roundBlocksFunction` times weights of four bits, a vector of them for 4 outputs × 8 columns, the earlier of a pair in
 * the low half of a byte, with scale and zero point for each block. By pairs a block's products are summed in 16 bits:
 * 8 · 2 · 127 · 15 fits, so integers are exact either way.
 */
export const int4Product = (name: string, outcome: Outcome, { dots }: Target): WasmFunction =>
  productFunction(name, outcome, (fn) => {
    const [weights, scales, zeros] = fn.locals('i32', 3) as [Local, Local, Local];
    const [four, points, nibbles, ones] = fn.locals('v128', 4) as [Local, Local, Local, Local];
    const [lows, highs] = [fn.locals('v128', TILES), fn.locals('v128', TILES)];
    const addDots = (sum: Local, halves: Local, first: boolean): Code => {
      if (dots === 'fours') {
        return set(sum, integers.dotBytesAdd(get(four), get(halves), first ? vector.ints(0) : get(sum)));
      }
      const pairs = integers.dotBytes(get(four), get(halves));
      return set(sum, first ? pairs : integers.addShorts(get(sum), pairs));
    };
    return {
      // Sums of floats and of integers for each row, and a vector of weights for each tile.
      rowCounts: [4, 2, 1],
      constants: [set(nibbles, integers.bytes(15)), set(ones, integers.shorts(1))],
      of({ input, totals, ofGroup }) {
        const bytes = fn.local('i32');
        /** Of a block. By fours sums of low halves and of high ones are apart, so that none waits for the product before. */
        const lowSums = totals.map(() => fn.locals('v128', TILES));
        const highSums = dots === 'fours' ? totals.map(() => fn.locals('v128', TILES)) : lowSums;
        const addHalves = (sums: Local[][], halves: Local[], offset: number, first: boolean): Code =>
          sums.map((row, at) => [
            set(four, integers.loadFourSplat(get(bytes), offset + at * FOUR_BYTES)),
            row.map((sum, tile) => addDots(sum, halves[tile]!, first)),
          ]);
        /** Eight columns of every output of the group. */
        const eight = (index: number): Code => [
          lows.map((low, tile) => set(low, vector.load(get(weights), (index * TILES + tile) * 16))),
          highs.map((high, tile) =>
            set(high, integers.and(integers.shiftShortsRight(get(lows[tile]!), 4), get(nibbles))),
          ),
          lows.map((low) => set(low, integers.and(get(low), get(nibbles)))),
          addHalves(lowSums, lows, index * 2 * STEP_BYTES, index === 0),
          addHalves(highSums, highs, (index * 2 + 1) * STEP_BYTES, index === 0 && dots === 'fours'),
        ];
        const blockSum = (row: number, tile: number): Code =>
          dots === 'fours'
            ? vector.addInts(get(lowSums[row]![tile]!), get(highSums[row]![tile]!))
            : integers.dotShorts(get(lowSums[row]![tile]!), get(ones));
        /** Σ (q − zero) · x = Σ q · x − zero · Σ x, times both scales. */
        const scaleBlock = (row: number): Code => [
          lowSums[row]!.map((sum, tile) =>
            set(
              sum,
              vector.multiply(
                integers.toFloats(blockSum(row, tile)),
                vector.loadSplat(get(bytes), ROUNDED_SCALE + row * FOUR_BYTES),
              ),
            ),
          ),
          set(four, vector.loadSplat(get(bytes), ROUNDED_SUM + row * FOUR_BYTES)),
          totals[row]!.map((total, tile) => {
            const scaled = vector.negativeMultiplyAdd(
              get(highs[tile]!),
              get(four),
              get(lowSums[row]![tile]!),
            );
            return set(total, vector.multiplyAdd(scaled, get(lows[tile]!), get(total)));
          }),
        ];
        return {
          begin: [
            set(weights, ofGroup(MATRIX.weights, 64)),
            set(scales, ofGroup(MATRIX.scales, 16)),
            set(zeros, ofGroup(MATRIX.zeros, LANES)),
            set(bytes, get(input)),
            totals.flat().map((total) => set(total, vector.floats(0))),
          ],
          block: [
            [0, 1, 2, 3].map(eight),
            set(points, integers.loadBytes(get(zeros))),
            lows.map((scale, tile) => set(scale, vector.load(get(scales), tile * 16))),
            highs.map((zero, tile) =>
              set(
                zero,
                integers.toFloats(
                  tile === 0 ? integers.widenShorts(get(points)) : integers.widenHighShorts(get(points)),
                ),
              ),
            ),
            totals.map((_, row) => scaleBlock(row)),
            set(weights, add(get(weights), int(TILES * 64))),
            set(scales, add(get(scales), int(TILES * 16))),
            set(zeros, add(get(zeros), int(TILES * LANES))),
            set(bytes, add(get(bytes), int(ROUNDED_BLOCK_BYTES))),
          ],
          end: [],
        };
      },
    };
  });
