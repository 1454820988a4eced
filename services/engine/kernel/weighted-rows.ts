import { add, type Code, get, int, type Local, loopOver, set, vector } from './code.ts';
import type { WasmFunction } from './module.ts';

/** Queries that share each row that is loaded. */
export const QUERY_BLOCK = 6;

/** Sums of a matrix's rows, for a block of queries that each give the rows other weights. Addresses and strides are bytes. */
export interface WeightedRows {
  /** The matrix, `columns` floats in a row, a multiple of 4. */
  readonly matrix: Local;
  readonly columns: number;
  /** The first query's weights, how far those of the next are, and where its last one ends. */
  readonly weights: Local;
  readonly weightsStride: number;
  readonly weightsBytes: Code;
  /** The first query's sums, and how far those of the next are. */
  readonly sums: Local;
  readonly sumsStride: number;
  /** Sums begin with what is there, not with 0. */
  readonly onward: boolean;
}

/**
 * Vectors of columns that a block of queries sums up at once. Sums, the rows' vectors and one weight are all the registers that
 * V8 gives, 15, or one more makes it spill; with few queries more sums are needed for none to wait for the product before.
 */
const spanOf = (block: number, registerVectors: number): number => (block > 2 ? 2 : 4) * registerVectors;

/** Adds each row times its weight. Each sum adds in the order of rows, whatever else is summed with it. */
export function weightedRows(
  fn: WasmFunction,
  block: number,
  registerVectors: 1 | 2,
  { matrix, columns, weights, weightsStride, weightsBytes, sums, sumsStride, onward }: WeightedRows,
): Code {
  const span = spanOf(block, registerVectors);
  const [column, row, weight, weightsEnd, sum] = fn.locals('i32', 5) as [Local, Local, Local, Local, Local];
  const splat = fn.local('v128');
  const values = fn.locals('v128', span);
  const totals = Array.from({ length: block }, () => fn.locals('v128', span));
  const turn = (width: number): Code => {
    const overTotals = (body: (total: Local, offset: number) => Code): Code =>
      totals.map((row, query) =>
        row.slice(0, width).map((total, at) => body(total, query * sumsStride + at * 16)),
      );
    return [
      set(sum, add(get(sums), get(column))),
      overTotals((total, offset) => set(total, onward ? vector.load(get(sum), offset) : vector.floats(0))),
      set(row, add(get(matrix), get(column))),
      loopOver(weight, get(weights), get(weightsEnd), 4, [
        values.slice(0, width).map((value, at) => set(value, vector.load(get(row), at * 16))),
        totals.map((row, query) => [
          set(splat, vector.loadSplat(get(weight), query * weightsStride)),
          row
            .slice(0, width)
            .map((total, at) => set(total, vector.multiplyAdd(get(splat), get(values[at]!), get(total)))),
        ]),
        set(row, add(get(row), int(columns * 4))),
      ]),
      overTotals((total, offset) => vector.store(get(sum), get(total), offset)),
    ];
  };
  const whole = Math.floor(columns / 4 / span) * span * 16;
  const rest = (columns / 4) % span;
  return [
    set(weightsEnd, add(get(weights), weightsBytes)),
    loopOver(column, int(0), int(whole), span * 16, turn(span)),
    rest > 0 ? turn(rest) : [],
  ];
}
