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
import { Exponential } from './exponential.ts';
import { WasmFunction } from './module.ts';

/** Outputs whose weights lie in one vector. */
export const LANES = 4;
/** Vectors of outputs that share what is loaded of a row. */
export const TILES = 2;

/** A matrix as a product reads it, in words from its address on. Groups are TILES · LANES outputs, one behind the other. */
export const MATRIX = {
  /** [groups, blocks, TILES, 4, LANES] words of as many weights as the precision puts there. */
  weights: 0,
  /** f32, for each output or for each block of it. */
  scales: 1,
  /** int4: [groups, blocks, TILES, LANES] bytes. */
  zeros: 2,
  blocks: 3,
  groups: 4,
  /** Groups that one item works on. */
  itemGroups: 5,
  /** Rounded rows. */
  input: 6,
  /** f32 rows. */
  output: 7,
  /** From one row of the output to the next. */
  outputRowBytes: 8,
  rows: 9,
  items: 10,
} as const;
export const MATRIX_WORDS = 11;

/** What a product works on, and where it is. */
export interface ProductPlace {
  readonly fn: WasmFunction;
  /** Blocks of columns of the matrix. */
  readonly blocks: Local;
  readonly block: Local;
  /** The row at hand among the rounded ones. */
  readonly input: Local;
  /** One for each vector of outputs: sums of the row at hand, to be finished as floats. */
  readonly totals: readonly Local[];
  /** Of any use. */
  readonly spare: readonly [Local, Local, Local];
  /** The value of a field of the matrix. */
  field(index: number): Code;
  /** Where the group's part of an area begins that has `bytes` for each block and vector of outputs. */
  ofGroup(area: number, bytes: number): Code;
  /** The same in an area that has them for each vector of outputs. */
  ofOutputs(area: number, bytes: number): Code;
}

/** How rows of bytes are multiplied by a group's weights. */
export interface RowProduct {
  /** Before the first group. */
  readonly constants: Code;
  /** Before a row's first block. */
  readonly begin: Code;
  /** One block of columns. */
  readonly block: Code;
  /** `totals` become the row's outputs, and `input` the next row. */
  readonly end: Code;
}

/**
 * `name(item, matrix, scratch)`: rows · Wᵀ of some groups of outputs. `gated`: the second vector of a group belongs to
 * the up projection, the first to the gate: what is put out is silu(gate) · up.
 */
export function productFunction(
  name: string,
  gated: boolean,
  rowProduct: (place: ProductPlace) => RowProduct,
): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, matrix] = [fn.parameter(0), fn.parameter(1)];
  const [group, end, row, block, blocks, input, output] = Array.from({ length: 7 }, () =>
    fn.local('i32'),
  ) as [Local, Local, Local, Local, Local, Local, Local];
  const spare = fn.locals('v128', 3) as [Local, Local, Local];
  const totals = fn.locals('v128', TILES);
  const field = (index: number): Code => load(get(matrix), index * 4);
  const ofOutputs = (area: number, bytes: number): Code =>
    add(field(area), multiply(get(group), int(bytes * TILES)));
  const ofGroup = (area: number, bytes: number): Code =>
    add(field(area), multiply(multiply(get(group), get(blocks)), int(bytes * TILES)));
  const product = rowProduct({ fn, blocks, block, input, totals, spare, field, ofGroup, ofOutputs });
  const exponential = gated ? new Exponential(fn) : undefined;
  const groupBytes = gated ? LANES * 4 : TILES * LANES * 4;
  fn.body([
    product.constants,
    exponential?.constants ?? [],
    set(blocks, field(MATRIX.blocks)),
    set(end, multiply(add(get(item), int(1)), field(MATRIX.itemGroups))),
    ifElse(lessThan(field(MATRIX.groups), get(end)), set(end, field(MATRIX.groups))),
    loopOver(group, multiply(get(item), field(MATRIX.itemGroups)), get(end), 1, [
      set(input, field(MATRIX.input)),
      set(output, add(field(MATRIX.output), multiply(get(group), int(groupBytes)))),
      loopOver(row, int(0), field(MATRIX.rows), 1, [
        product.begin,
        loopOver(block, int(0), get(blocks), 1, product.block),
        product.end,
        exponential
          ? [
              activate(totals[0]!, [spare[0], spare[1]], exponential),
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
function activate(x: Local, [power, one]: readonly [Local, Local], exponential: Exponential): Code {
  const positive = vector.lessThan(vector.floats(0), get(x));
  return [
    set(one, vector.floats(1)),
    set(power, vector.subtract(vector.floats(0), vector.absolute(get(x)))),
    exponential.of(power),
    set(
      x,
      vector.multiply(
        get(x),
        vector.divide(integers.select(get(one), get(power), positive), vector.add(get(one), get(power))),
      ),
    ),
  ];
}
