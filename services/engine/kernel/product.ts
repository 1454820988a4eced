import { Activation } from './activation.ts';
import {
  add,
  both,
  type Code,
  call,
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
import type { Locals4, Locals7 } from './locals.ts';
import { findMatrix, firstRowOf, GROUP_BYTES, MATRIX, rowsOf, TILES } from './matrix.ts';
import { WasmFunction } from './module.ts';
import { inTile, TILE_ROWS } from './row-tiles.ts';

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

/** What becomes of rows · Wᵀ, which is the output unless this says otherwise. */
export interface Outcome {
  /** Every second group belongs to the up projection, the one before it to the gate: what is put out is silu(gate) · up. */
  readonly gated?: boolean;
  /** The function that multiplies rows by the matrix's addends, group by group, whose products are added before all else. */
  readonly addend?: string;
  /** A group's rows are put one behind the other in scratch memory: this is such a function. */
  readonly toScratch?: boolean;
}

/** Scratch memory begins with gates that wait for their ups; behind them lies what is added to each row of a group, of ups behind gates. */
const ADDENDS_START = TILE_ROWS * GROUP_BYTES;

/** Scratch memory of a product of so many rows. */
export const productScratchFloats = (rows: number): number => (ADDENDS_START + 2 * rows * GROUP_BYTES) / 4;

/** `name(item, matrix, scratch)`: rows · Wᵀ of some groups of outputs. */
export function productFunction(
  name: string,
  { gated = false, addend, toScratch = false }: Outcome,
  productOf: (fn: WasmFunction) => Product,
): WasmFunction {
  const fn = new WasmFunction(name, 3);
  const [item, matrix, scratch] = [fn.parameter(0), fn.parameter(1), fn.parameter(2)];
  const [group, end, row, block, blocks, input, output] = fn.locals('i32', 7) as Locals7;
  /** Of the first row: its tile, and its row there. */
  const [tiles, firstRow, endRow, addends] = fn.locals('i32', 4) as Locals4;
  const product = productOf(fn);
  const most = Array.from({ length: product.rowCounts[0]! }, () => fn.locals('v128', TILES));
  const field = fieldOf(matrix);
  const ofOutputs = (area: number, bytes: number): Code =>
    add(field(area), multiply(get(group), int(bytes * TILES)));
  const ofGroup = (area: number, bytes: number): Code =>
    add(field(area), multiply(multiply(get(group), get(blocks)), int(bytes * TILES)));
  const activation = gated ? new Activation(fn, TILES) : undefined;
  const overTotals = (
    totals: ProductPlace['totals'],
    body: (total: Local, row: number, offset: number) => Code,
    next: Code = [],
  ): Code => totals.map((tiles, row) => [tiles.map((total, tile) => body(total, row, tile * 16)), next]);
  const firstAddends = add(get(scratch), int(ADDENDS_START));
  const upAddends = add(firstAddends, multiply(rowsOf(matrix), int(GROUP_BYTES)));
  /** All rows' addends to a group. */
  const putAddends = (item: Code, to: Code): Code =>
    addend
      ? [
          set(addends, field(MATRIX.addends)),
          loopWhile(get(addends), [
            ifElse(rowsOf(addends), call(addend, [item, get(addends), to])),
            set(addends, fieldOf(addends)(MATRIX.nextAddends)),
          ]),
        ]
      : [];
  const multiplied = (count: number): Code => {
    const totals = most.slice(0, count);
    const { begin, block: eachBlock, end } = product.of({ input, totals, ofGroup, ofOutputs });
    const byGroup = [begin, loopOver(block, int(0), get(blocks), 1, eachBlock), end];
    const ofScratch = (row: number, offset: number) => row * GROUP_BYTES + offset;
    const withAddends = (start: Code): Code =>
      addend
        ? [
            set(addends, add(start, multiply(get(row), int(GROUP_BYTES)))),
            overTotals(totals, (total, row, offset) =>
              set(total, vector.add(get(total), vector.load(get(addends), row * GROUP_BYTES + offset))),
            ),
          ]
        : [];
    return [
      set(input, inTile(get(tiles), row, field(MATRIX.inputTileBytes))),
      byGroup,
      activation
        ? [
            withAddends(firstAddends),
            overTotals(totals, (gate, row, offset) =>
              vector.store(get(scratch), get(gate), ofScratch(row, offset)),
            ),
            set(group, add(get(group), int(1))),
            byGroup,
            withAddends(upAddends),
            set(group, subtract(get(group), int(1))),
            totals.map((ups, row) => activation.of(ups, get(scratch), ofScratch(row, 0))),
          ]
        : withAddends(firstAddends),
      overTotals(
        totals,
        (total, _, offset) => vector.store(get(output), get(total), offset),
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
  const step = gated ? 2 : 1;
  const outputGroup = divide(get(group), int(step));
  fn.body([
    product.constants,
    activation?.constants ?? [],
    findMatrix([item, matrix], field(MATRIX.items)),
    set(blocks, field(MATRIX.blocks)),
    set(firstRow, remainder(firstRowOf(matrix), int(TILE_ROWS))),
    set(endRow, add(get(firstRow), rowsOf(matrix))),
    set(
      tiles,
      add(
        field(MATRIX.input),
        multiply(divide(firstRowOf(matrix), int(TILE_ROWS)), field(MATRIX.inputTileBytes)),
      ),
    ),
    set(end, multiply(add(get(item), int(1)), field(MATRIX.itemGroups))),
    ifElse(lessThan(field(MATRIX.groups), get(end)), set(end, field(MATRIX.groups))),
    loopOver(group, multiply(get(item), field(MATRIX.itemGroups)), get(end), step, [
      putAddends(outputGroup, firstAddends),
      gated ? putAddends(add(outputGroup, divide(field(MATRIX.groups), int(2))), upAddends) : [],
      set(
        output,
        add(
          add(field(MATRIX.output), multiply(firstRowOf(matrix), field(MATRIX.outputRowBytes))),
          toScratch ? get(scratch) : multiply(outputGroup, int(GROUP_BYTES)),
        ),
      ),
      set(row, get(firstRow)),
      loopWhile(lessThan(get(row), get(endRow)), rowsTogether),
    ]),
  ]);
  return fn;
}
