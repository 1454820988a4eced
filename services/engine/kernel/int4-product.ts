import { add, type Code, get, int, integers, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';
import { LANES, MATRIX, productFunction, TILES } from './product.ts';
import { ROUNDED_BLOCK_BYTES, ROUNDED_SCALE, ROUNDED_SUM } from './round-blocks.ts';

/**
 * Rows of `roundBlocksFunction` times weights of four bits, a vector of them for 4 outputs × 8 columns, the earlier of a pair in
 * the low half of a byte, with scale and zero point for each block. Within a block products are summed in 16 bits:
 * 8 · 2 · 127 · 15 fits, so integers are exact.
 */
export const int4Product = (name: string, gated: boolean): WasmFunction =>
  productFunction(name, gated, ({ fn, input, totals, spare, ofGroup }) => {
    const [weights, scales, zeros] = [fn.local('i32'), fn.local('i32'), fn.local('i32')];
    const [words, low, high] = spare;
    const [nibbles, ones] = [fn.local('v128'), fn.local('v128')];
    const sums = fn.locals('v128', TILES);
    /** Eight columns of every output of the group. */
    const eight = (index: number): Code => [
      set(low, integers.loadFourSplat(get(input), index * 8)),
      set(high, integers.loadFourSplat(get(input), index * 8 + 4)),
      sums.map((sum, tile) => {
        const first = integers.dotBytes(get(low), integers.and(get(words), get(nibbles)));
        const second = integers.dotBytes(
          get(high),
          integers.and(integers.shiftShortsRight(get(words), 4), get(nibbles)),
        );
        return [
          set(words, vector.load(get(weights), (tile * 4 + index) * 16)),
          set(sum, index === 0 ? first : integers.addShorts(get(sum), first)),
          set(sum, integers.addShorts(get(sum), second)),
        ];
      }),
    ];
    /** Σ (q − zero) · x = Σ q · x − zero · Σ x, times both scales. */
    const scaleBlock = (tile: number): Code => {
      const zero = integers.toFloats(
        integers.widenShorts(integers.widenBytes(integers.loadFour(get(zeros), tile * LANES))),
      );
      const dot = integers.toFloats(integers.dotShorts(get(sums[tile]!), get(ones)));
      const scaled = vector.negativeMultiplyAdd(zero, get(high), vector.multiply(dot, get(low)));
      const total = totals[tile]!;
      return set(total, vector.multiplyAdd(scaled, vector.load(get(scales), tile * 16), get(total)));
    };
    return {
      constants: [set(nibbles, integers.bytes(15)), set(ones, integers.shorts(1))],
      begin: [
        set(weights, ofGroup(MATRIX.weights, 64)),
        set(scales, ofGroup(MATRIX.scales, 16)),
        set(zeros, ofGroup(MATRIX.zeros, LANES)),
        totals.map((total) => set(total, vector.floats(0))),
      ],
      block: [
        [0, 1, 2, 3].map(eight),
        set(low, vector.loadSplat(get(input), ROUNDED_SCALE)),
        set(high, vector.loadSplat(get(input), ROUNDED_SUM)),
        totals.map((_, tile) => scaleBlock(tile)),
        set(weights, add(get(weights), int(TILES * 64))),
        set(scales, add(get(scales), int(TILES * 16))),
        set(zeros, add(get(zeros), int(TILES * LANES))),
        set(input, add(get(input), int(ROUNDED_BLOCK_BYTES))),
      ],
      end: [],
    };
  });
