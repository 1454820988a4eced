import {
  add,
  type Code,
  get,
  ifElse,
  int,
  integers,
  type Local,
  lessThan,
  load,
  loopOver,
  multiply,
  set,
  vector,
} from './code.ts';
import { WasmFunction } from './module.ts';
import { ROUNDED_BLOCK_BYTES, ROUNDED_SCALE, ROUNDED_SUM } from './round-rows.ts';
import { exponential } from './softmax.ts';

/** Outputs whose weights lie in one vector: 4 outputs × 8 columns of 4 bits. */
export const LANES = 4;
/** Vectors of outputs that share what is loaded of a row. */
export const TILES = 2;

/** A matrix as `product` reads it, in words from its address on. Groups are TILES · LANES outputs, one behind the other. */
export const MATRIX = {
  /** [groups, blocks, TILES, 4, LANES] words of eight weights, the earlier of a pair in the low half of a byte. */
  weights: 0,
  /** [groups, blocks, TILES, LANES] f32 */
  scales: 1,
  /** [groups, blocks, TILES, LANES] bytes */
  zeros: 2,
  blocks: 3,
  groups: 4,
  /** Groups that one item works on. */
  itemGroups: 5,
  /** Rounded rows, see `roundRowsFunction`. */
  input: 6,
  /** f32 rows. */
  output: 7,
  /** From one row of the output to the next. */
  outputRowBytes: 8,
  rows: 9,
  items: 10,
} as const;
export const MATRIX_WORDS = 11;

/**
 * `product(item, matrix, scratch)`: rows · Wᵀ of some groups of outputs. Within a block of columns products are summed in
 * 16 bits: 8 · 2 · 127 · 15 fits, so integers are exact. `gated`: the second vector of a group belongs to
 * the up projection, the first to the gate: what is put out is silu(gate) · up.
 */
export function int4Product(name: string, gated: boolean): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, matrix] = [fn.parameter(0), fn.parameter(1)];
  const i32 = () => fn.local('i32');
  const v128 = () => fn.local('v128');
  const [group, end, row, block, blocks, weights, scales, zeros, input, output] = [
    i32(),
    i32(),
    i32(),
    i32(),
    i32(),
    i32(),
    i32(),
    i32(),
    i32(),
    i32(),
  ];
  const [words, low, high, nibbles, ones] = [v128(), v128(), v128(), v128(), v128()];
  const totals = fn.locals('v128', TILES);
  const sums = fn.locals('v128', TILES);
  const field = (index: number): Code => load(get(matrix), index * 4);
  const ofGroup = (start: number, bytes: number): Code =>
    add(field(start), multiply(multiply(get(group), get(blocks)), int(bytes * TILES)));
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
  const scaleBlock = (total: Local, tile: number): Code => {
    const zero = integers.toFloats(
      integers.widenShorts(integers.widenBytes(integers.loadFour(get(zeros), tile * LANES))),
    );
    const dot = integers.toFloats(integers.dotShorts(get(sums[tile]!), get(ones)));
    const scaled = vector.negativeMultiplyAdd(zero, get(high), vector.multiply(dot, get(low)));
    return set(total, vector.multiplyAdd(scaled, vector.load(get(scales), tile * 16), get(total)));
  };
  const groupBytes = gated ? LANES * 4 : TILES * LANES * 4;
  fn.body([
    set(nibbles, integers.bytes(15)),
    set(ones, integers.shorts(1)),
    set(blocks, field(MATRIX.blocks)),
    set(end, multiply(add(get(item), int(1)), field(MATRIX.itemGroups))),
    ifElse(lessThan(field(MATRIX.groups), get(end)), set(end, field(MATRIX.groups))),
    loopOver(group, multiply(get(item), field(MATRIX.itemGroups)), get(end), 1, [
      set(input, field(MATRIX.input)),
      set(output, add(field(MATRIX.output), multiply(get(group), int(groupBytes)))),
      loopOver(row, int(0), field(MATRIX.rows), 1, [
        set(weights, ofGroup(MATRIX.weights, 64)),
        set(scales, ofGroup(MATRIX.scales, 16)),
        set(zeros, ofGroup(MATRIX.zeros, LANES)),
        totals.map((total) => set(total, vector.floats(0))),
        loopOver(block, int(0), get(blocks), 1, [
          [0, 1, 2, 3].map(eight),
          set(low, vector.loadSplat(get(input), ROUNDED_SCALE)),
          set(high, vector.loadSplat(get(input), ROUNDED_SUM)),
          totals.map(scaleBlock),
          set(weights, add(get(weights), int(TILES * 64))),
          set(scales, add(get(scales), int(TILES * 16))),
          set(zeros, add(get(zeros), int(TILES * LANES))),
          set(input, add(get(input), int(ROUNDED_BLOCK_BYTES))),
        ]),
        gated
          ? [
              activate(totals[0]!, [words, low, high]),
              vector.store(get(output), vector.multiply(get(totals[0]!), get(totals[1]!))),
            ]
          : totals.map((total, tile) => vector.store(get(output), get(total), tile * 16)),
        set(output, add(get(output), field(MATRIX.outputRowBytes))),
      ]),
    ]),
  ]);
  return fn;
}

/** x ← x · sigmoid(x), with exp of −|x| only, which cannot overflow. */
function activate(x: Local, [power, n, one]: readonly [Local, Local, Local]): Code {
  const positive = vector.lessThan(vector.floats(0), get(x));
  return [
    set(one, vector.floats(1)),
    set(power, vector.subtract(vector.floats(0), vector.absolute(get(x)))),
    exponential(power, n),
    set(
      x,
      vector.multiply(
        get(x),
        vector.divide(integers.select(get(one), get(power), positive), vector.add(get(one), get(power))),
      ),
    ),
  ];
}
