import { RondoError } from '@rondo/core';
import { type MatrixRows, matrixRows, rowOf, rowProducts, scale, transposed } from './matrix-rows.ts';
import { findRange, OVERSAMPLING } from './randomised-range.ts';
import { symmetricEigen } from './symmetric-eigen.ts';

/** The best matrix of a rank: B·A ≈ W with B = UΣ and A = Vᵀ of W's singular value decomposition. */
export interface LowRank {
  readonly rank: number;
  /** [rank, in] orthonormal rows. */
  readonly a: Float32Array;
  /** [out, rank] orthogonal columns, the longest first. */
  readonly b: Float32Array;
  /** Lengths of b's columns, the largest first. */
  readonly singularValues: Float32Array;
  /** 1 − ‖W − B·A‖² / ‖W‖² (Frobenius); 1 for a matrix of zeros. */
  readonly share: number;
}

export interface RankWish {
  /** At most this many ranks; by default as many as the matrix has. */
  readonly rank?: number | undefined;
  /** The smallest rank that keeps this share of ‖W‖², in (0, 1]. With `rank`, whichever is smaller. */
  readonly energy?: number | undefined;
  readonly seed?: number | undefined;
  /** By default `exact` up to `EXACT_SIDE` and where the rank is not small; else `randomised`. */
  readonly method?: 'exact' | 'randomised' | undefined;
}

/** Up to this smaller side the exact way costs about as much as a sketch, and it is right for flat spectra too. */
const EXACT_SIDE = 2048;
/** A sketch must be this many times narrower than the matrix to be worth its passes over it. */
const SKETCH_GAIN = 4;
/** Singular values below this share of the largest are the rounding of f32 values. */
const ROUNDING = 1e-6;

/**
 * Truncated singular value decomposition of `matrix` [out, in], the same for the same seed.
 *
 * Exact: eigenvectors of the smaller of W·Wᵀ and Wᵀ·W, all in f64, which finds every singular value above 1e-6 of the
 * largest; B·A is the best of its rank to the rounding of f32.
 * Randomised: the same within a range found by `findRange`. B·A is then the best of its rank where singular
 * values fall off behind it; where they hardly do, as with random matrices, no sketch finds the one best subspace, and
 * B·A keeps nearly the same share of the energy with other directions. `share` is right in both cases: B·A is a projection
 * of W.
 *
 * Directions whose singular values are rounding are left out. A matrix of zeros has rank 1: one rank of zeros, because
 * products of no columns are not something that every kernel has.
 * @throws RondoError CONFIG_INVALID for an impossible rank or energy, INTERNAL for a matrix of another size or with values
 * that are not finite.
 */
export function truncatedSvd(
  matrix: Float32Array,
  out: number,
  columns: number,
  wish: RankWish = {},
): LowRank {
  requireWish(wish);
  const energy = squareSum(matrix);
  if (matrix.length !== out * columns || !Number.isFinite(energy)) {
    const found = matrix.length === out * columns ? 'values that are not finite' : `${matrix.length} values`;
    throw new RondoError('INTERNAL', `low rank of [${out}, ${columns}]: found ${found}`);
  }
  const tall = out > columns;
  const given: MatrixRows = { rows: out, columns, values: Float64Array.from(matrix) };
  const wide = tall ? transposed(given) : given;
  const cap = Math.min(wish.rank ?? wide.rows, wide.rows);
  const part = largestPart(wide, cap, energy, wish);
  const { left, right } = part;
  const a = toF32(tall ? left : normalised(right, part.values));
  const b = toF32(transposed(tall ? right : scaled(left, part.values)));
  return {
    rank: left.rows,
    a,
    b,
    singularValues: Float32Array.from(part.values),
    share: energy === 0 ? 1 : Math.min(1, squareSum(part.values) / energy),
  };
}

function requireWish({ rank, energy }: RankWish): void {
  if (rank !== undefined && !(Number.isInteger(rank) && rank >= 1)) {
    throw new RondoError('CONFIG_INVALID', `rank ${rank}: must be a whole number from 1`);
  }
  if (energy !== undefined && !(energy > 0 && energy <= 1)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `energy ${energy}: must lie in (0, 1], a share of the residual's squares`,
    );
  }
}

/** W ≈ leftᵀ·right for W [rows, columns], rows ≤ columns. */
interface Part {
  /** [rank, rows] orthonormal. */
  readonly left: MatrixRows;
  /** [rank, columns] orthogonal, of the lengths `values`. */
  readonly right: MatrixRows;
  readonly values: Float64Array;
}

/** Exact where that is cheap or where a sketch would be hardly narrower; a sketch that keeps too little is doubled. */
function largestPart(wide: MatrixRows, cap: number, energy: number, wish: RankWish): Part {
  const { seed = 0, method, energy: wanted } = wish;
  const narrow = (width: number): boolean =>
    method === 'randomised' || (wide.rows > EXACT_SIDE && width * SKETCH_GAIN <= wide.rows);
  const first = wanted === undefined ? cap : Math.min(cap, OVERSAMPLING);
  for (let rank = first; method !== 'exact' && narrow(rank + OVERSAMPLING); rank *= 2) {
    const basis = findRange(wide, rank, seed);
    const inRange = rowProducts(basis, transposed(wide));
    const part = leadingPart(inRange, Math.min(rank, cap), energy, wanted);
    if (rank >= cap || wanted === undefined || squareSum(part.values) >= wanted * energy) {
      return { ...part, left: rowProducts(part.left, transposed(basis)) };
    }
  }
  return leadingPart(wide, cap, energy, wanted);
}

/** The exact way: eigenvectors of wide·wideᵀ. */
function leadingPart(wide: MatrixRows, cap: number, energy: number, wanted = 1): Part {
  const eigen = symmetricEigen(rowProducts(wide, wide));
  const squares = eigen.values;
  const floor = squares[0]! * ROUNDING ** 2;
  let [rank, kept] = [0, 0];
  while (rank < cap && squares[rank]! > floor && (rank === 0 || kept < wanted * energy)) {
    kept += squares[rank]!;
    rank++;
  }
  if (rank === 0) {
    return {
      left: matrixRows(1, wide.rows),
      right: matrixRows(1, wide.columns),
      values: new Float64Array(1),
    };
  }
  const left = eigen.vectors(rank);
  const right = rowProducts(left, transposed(wide));
  const values = Float64Array.from({ length: rank }, (_, row) => Math.sqrt(squareSum(rowOf(right, row))));
  return { left, right, values };
}

function scaled(rows: MatrixRows, factors: Float64Array): MatrixRows {
  const result = { ...rows, values: Float64Array.from(rows.values) };
  for (const [row, factor] of factors.entries()) scale(rowOf(result, row), factor);
  return result;
}

const normalised = (rows: MatrixRows, lengths: Float64Array): MatrixRows =>
  scaled(
    rows,
    lengths.map((length) => (length === 0 ? 0 : 1 / length)),
  );

const toF32 = ({ values }: MatrixRows): Float32Array => Float32Array.from(values);

function squareSum(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at]! ** 2;
  return sum;
}
