import { Activation } from './activation.ts';
import {
  add,
  both,
  type Code,
  divide,
  get,
  ifElse,
  int,
  type Local,
  lessThan,
  loopOver,
  loopWhile,
  multiply,
  remainder,
  set,
  subtract,
  vector,
} from './code.ts';
import { fieldOf } from './description.ts';
import type { Locals7 } from './locals.ts';
import { findMatrix, LANES, MATRIX, TILES } from './matrix.ts';
import { WasmFunction } from './module.ts';
import { inTile } from './row-tiles.ts';

/** How rows of bytes are multiplied by weights of some precision. */
export interface Product {
  /** How many rows of a tile go through a group's weights together, powers of two, the most first; the last is 1. */
  readonly rowCounts: readonly number[];
  /** Before everything. */
  readonly constants: Code;
  of(place: ProductPlace): RowsProduct;
}

/** What a product works on, and where it is. */
export interface ProductPlace {
  /** The first of the rows at hand in its tile. */
  readonly input: Local;
  /** [rows at hand, TILES]: sums, to be finished as floats. */
  readonly totals: readonly (readonly Local[])[];
  /** Where the group's part of an area begins that has `bytes` for each block and vector of outputs. */
  ofGroup(area: number, bytes: number): Code;
  /** The same in an area that has them for each vector of outputs. */
  ofOutputs(area: number, bytes: number): Code;
}

/** How some rows are multiplied by a group's weights. */
export interface RowsProduct {
  /** Before a group's first block. */
  readonly begin: Code;
  /** One block of columns. */
  readonly block: Code;
  /** `totals` become outputs. */
  readonly end: Code;
}

/**
 * What becomes of rows · Wᵀ. `put`: the output. `added`: it is added to the output. `gated`: every second group belongs to the up
 * projection, the one before it to the gate: what is put out is silu(gate) · up. `gatedSum`: with something added to either before.
 */
export type Outcome = 'put' | 'added' | 'gated' | 'gatedSum';

/** `name(item, matrix, scratch)`: rows · Wᵀ of some groups of outputs. */
export function productFunction(
  name: string,
  outcome: Outcome,
  productOf: (fn: WasmFunction) => Product,
): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, matrix, scratch] = [fn.parameter(0), fn.parameter(1), fn.parameter(2)];
  const [group, end, row, block, blocks, input, output] = fn.locals('i32', 7) as Locals7;
  const [endRow, sums] = fn.locals('i32', 2) as [Local, Local];
  const gates = outcome === 'gated' || outcome === 'gatedSum';
  const product = productOf(fn);
  const most = Array.from({ length: product.rowCounts[0]! }, () => fn.locals('v128', TILES));
  const field = fieldOf(matrix);
  const ofOutputs = (area: number, bytes: number): Code =>
    add(field(area), multiply(get(group), int(bytes * TILES)));
  const ofGroup = (area: number, bytes: number): Code =>
    add(field(area), multiply(multiply(get(group), get(blocks)), int(bytes * TILES)));
  const activation = gates ? new Activation(fn, TILES) : undefined;
  const groupBytes = TILES * LANES * 4;
  const overTotals = (
    totals: ProductPlace['totals'],
    body: (total: Local, row: number, offset: number) => Code,
    next: Code = [],
  ): Code => totals.map((tiles, row) => [tiles.map((total, tile) => body(total, row, tile * 16)), next]);
  const multiplied = (count: number): Code => {
    const totals = most.slice(0, count);
    const { begin, block: eachBlock, end } = product.of({ input, totals, ofGroup, ofOutputs });
    const byGroup = [begin, loopOver(block, int(0), get(blocks), 1, eachBlock), end];
    const ofScratch = (row: number, offset: number) => row * groupBytes + offset;
    /** Adds what is to be added to gates or to ups, of an address on. */
    const withSums = (first: Code): Code =>
      outcome === 'gatedSum'
        ? [
            set(sums, first),
            overTotals(
              totals,
              (total, _, offset) => set(total, vector.add(get(total), vector.load(get(sums), offset))),
              set(sums, add(get(sums), field(MATRIX.sumsRowBytes))),
            ),
          ]
        : [];
    const gateSums = add(
      add(field(MATRIX.sums), multiply(get(row), field(MATRIX.sumsRowBytes))),
      multiply(divide(get(group), int(2)), int(groupBytes)),
    );
    return [
      set(input, inTile(field(MATRIX.input), row, field(MATRIX.inputTileBytes))),
      byGroup,
      activation
        ? [
            withSums(gateSums),
            overTotals(totals, (gate, row, offset) =>
              vector.store(get(scratch), get(gate), ofScratch(row, offset)),
            ),
            set(group, add(get(group), int(1))),
            byGroup,
            set(group, subtract(get(group), int(1))),
            withSums(add(gateSums, divide(field(MATRIX.sumsRowBytes), int(2)))),
            totals.map((ups, row) => activation.of(ups, get(scratch), ofScratch(row, 0))),
          ]
        : [],
      overTotals(
        totals,
        (total, _, offset) => {
          const sum =
            outcome === 'added' ? vector.add(vector.load(get(output), offset), get(total)) : get(total);
          return vector.store(get(output), sum, offset);
        },
        set(output, add(get(output), field(MATRIX.outputRowBytes))),
      ),
      set(row, add(get(row), int(count))),
    ];
  };
  /** As many rows together as begin where as many of a tile do. */
  const rowsTogether = product.rowCounts.reduceRight((fewer: Code, count) => {
    const aligned = lessThan(remainder(get(row), int(count)), int(1));
    const enough = lessThan(int(count - 1), subtract(get(endRow), get(row)));
    return count === 1 ? multiplied(1) : ifElse(both(aligned, enough), multiplied(count), fewer);
  }, []);
  const step = gates ? 2 : 1;
  fn.body([
    product.constants,
    activation?.constants ?? [],
    findMatrix([item, matrix], field(MATRIX.items)),
    set(blocks, field(MATRIX.blocks)),
    set(endRow, add(field(MATRIX.firstRow), field(MATRIX.rows))),
    set(end, multiply(add(get(item), int(1)), field(MATRIX.itemGroups))),
    ifElse(lessThan(field(MATRIX.groups), get(end)), set(end, field(MATRIX.groups))),
    loopOver(group, multiply(get(item), field(MATRIX.itemGroups)), get(end), step, [
      set(output, add(field(MATRIX.output), multiply(divide(get(group), int(step)), int(groupBytes)))),
      set(row, field(MATRIX.firstRow)),
      loopWhile(lessThan(get(row), get(endRow)), rowsTogether),
    ]),
  ]);
  return fn;
}
