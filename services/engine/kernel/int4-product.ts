import { add, type Code, get, int, integers, type Local, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';
import { LANES, MATRIX, productFunction, TILES } from './product.ts';
import { ROUNDED_BLOCK_BYTES, ROUNDED_SCALE, ROUNDED_SUM } from './round-blocks.ts';
import type { DotProduct } from './target.ts';

/**
 * Rows of `roundBlocksFunction` times weights of four bits, a vector of them for 4 outputs × 8 columns, the earlier of a pair in
 * the low half of a byte, with scale and zero point for each block. By pairs a block's products are summed in 16 bits:
 * 8 · 2 · 127 · 15 fits, so integers are exact either way.
 */
export const int4Product = (name: string, gated: boolean, dots: DotProduct): WasmFunction =>
  productFunction(name, gated, ({ fn, input, totals, spare, ofGroup }) => {
    const [weights, scales, zeros] = [fn.local('i32'), fn.local('i32'), fn.local('i32')];
    const [words, low, high] = spare;
    const [nibbles, ones] = [fn.local('v128'), fn.local('v128')];
    /** Of the products with low halves and with high ones, which by pairs are the same. */
    const lowSums = fn.locals('v128', TILES);
    const highSums = dots === 'fours' ? fn.locals('v128', TILES) : lowSums;
    const addDots = (sum: Local, bytes: Local, halves: Code, first: boolean): Code => {
      if (dots === 'fours') {
        return set(sum, integers.dotBytesAdd(get(bytes), halves, first ? vector.ints(0) : get(sum)));
      }
      const pairs = integers.dotBytes(get(bytes), halves);
      return set(sum, first ? pairs : integers.addShorts(get(sum), pairs));
    };
    const blockSum = (tile: number): Code =>
      dots === 'fours'
        ? vector.addInts(get(lowSums[tile]!), get(highSums[tile]!))
        : integers.dotShorts(get(lowSums[tile]!), get(ones));
    /** Eight columns of every output of the group. */
    const eight = (index: number): Code => [
      set(low, integers.loadFourSplat(get(input), index * 8)),
      set(high, integers.loadFourSplat(get(input), index * 8 + 4)),
      lowSums.map((lowSum, tile) => [
        set(words, vector.load(get(weights), (tile * 4 + index) * 16)),
        addDots(lowSum, low, integers.and(get(words), get(nibbles)), index === 0),
        addDots(
          highSums[tile]!,
          high,
          integers.and(integers.shiftShortsRight(get(words), 4), get(nibbles)),
          index === 0 && dots === 'fours',
        ),
      ]),
    ];
    /** Σ (q − zero) · x = Σ q · x − zero · Σ x, times both scales. */
    const scaleBlock = (tile: number): Code => {
      const zero = integers.toFloats(
        integers.widenShorts(integers.widenBytes(integers.loadFour(get(zeros), tile * LANES))),
      );
      const dot = integers.toFloats(blockSum(tile));
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
