import {
  addScaled,
  dot,
  type MatrixRows,
  matrixRows,
  rowOf,
  rowProducts,
  scale,
  transposed,
} from './matrix-rows.ts';
import { SeededRandom } from './seeded-random.ts';
import { symmetricEigen } from './symmetric-eigen.ts';

/** Directions drawn beyond the wanted rank, and as many again as half of it: slowly falling spectra need room. */
export const OVERSAMPLING = 32;
/** Turns over the matrix and back. Falling spectra stop earlier; a flat one gains little from more. */
const TURNS_MAX = 8;
/** The range has settled when a turn adds less than this share to the energy that lies in its leading part. */
const SETTLED = 1e-10;

/**
 * An orthonormal basis, one vector a row, of nearly the range in which the `rank` largest singular values of `wide`
 * [m, n] lie: subspace iteration from a random sketch, orthonormal anew after every product, until the energy inside stands
 * still. With width l the error of a direction k falls by (σ_{l+1} / σ_k)² a turn. (Halko, Martinsson & Tropp 2011,
 * algorithm 4.4, §4.5)
 */
export function findRange(wide: MatrixRows, rank: number, seed: number): MatrixRows {
  const width = Math.min(wide.rows, rank + Math.max(OVERSAMPLING, rank >> 1));
  const turned = transposed(wide);
  const random = new SeededRandom(seed);
  const sketch = matrixRows(width, wide.columns);
  for (let at = 0; at < sketch.values.length; at++) sketch.values[at] = random.normal();
  let basis = orthonormal(rowProducts(sketch, wide));
  let before = 0;
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    const across = rowProducts(basis, turned);
    const energy = leadingEnergy(across, rank);
    if (energy - before <= SETTLED * energy) break;
    before = energy;
    basis = orthonormal(rowProducts(orthonormal(across), wide));
  }
  return basis;
}

/** Σ of the squares of the `rank` largest singular values of `rows`. */
const leadingEnergy = (rows: MatrixRows, rank: number): number =>
  symmetricEigen(rowProducts(rows, rows))
    .values.subarray(0, rank)
    .reduce((sum, square) => sum + square, 0);

/** A row that keeps less than this share of its length once the others are taken out is rounding. */
const DEPENDENT = 1e-10;

/** Gram–Schmidt, twice over; rows that depend on earlier ones are left out. (Giraud, Langou & Rozložník 2005) */
function orthonormal(rows: MatrixRows): MatrixRows {
  let kept = 0;
  for (let row = 0; row < rows.rows; row++) {
    const vector = rowOf(rows, row);
    const length = Math.sqrt(dot(vector, vector));
    for (let pass = 0; pass < 2; pass++) {
      for (let other = 0; other < kept; other++) {
        addScaled(vector, -dot(vector, rowOf(rows, other)), rowOf(rows, other));
      }
    }
    const left = Math.sqrt(dot(vector, vector));
    if (left <= DEPENDENT * length) continue;
    scale(vector, 1 / left);
    rowOf(rows, kept++).set(vector);
  }
  return { rows: kept, columns: rows.columns, values: rows.values.subarray(0, kept * rows.columns) };
}
