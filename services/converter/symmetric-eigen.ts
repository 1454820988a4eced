import { addScaled, dot, type MatrixRows, matrixRows, rowOf, scale } from './matrix-rows.ts';
import { SeededRandom } from './seeded-random.ts';

/** Eigenvalues of a symmetric matrix, and as many of its eigenvectors as are asked for. */
export interface SymmetricEigen {
  /** All of them, the largest first. */
  readonly values: Float64Array;
  /** Those of the `count` largest values, one a row, orthonormal. */
  vectors(count: number): MatrixRows;
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** Entry k lies between diagonal k and k + 1. */
  readonly beside: Float64Array;
}

interface Reflections {
  /** Row k: the vector v of I − f·v·vᵀ, zero up to k. */
  readonly vectors: MatrixRows;
  readonly factors: Float64Array;
}

/**
 * Householder's reduction to a tridiagonal matrix, its eigenvalues by implicit QR steps, eigenvectors by inverse iteration
 * with all earlier ones taken out. All values cost 4/3·n³ operations and each vector 2·n², far less than rotating
 * all vectors along. (Golub & Van Loan 2013, algorithms 8.3.1 and 8.3.2, §8.4)
 * @param matrix symmetric [n, n]; only its lower half is read, and it is overwritten.
 */
export function symmetricEigen(matrix: MatrixRows): SymmetricEigen {
  const reflections: Reflections = {
    vectors: matrixRows(Math.max(0, matrix.rows - 2), matrix.rows),
    factors: new Float64Array(matrix.rows),
  };
  const tridiagonal = reduce(matrix, reflections);
  const values = eigenvalues(tridiagonal);
  return {
    values,
    vectors(count) {
      const vectors = inverseIterate(tridiagonal, values.subarray(0, count));
      reflect(vectors, reflections);
      return vectors;
    },
  };
}

/** Applies one reflection after another from both sides; the vectors are kept in `reflections`. */
function reduce(matrix: MatrixRows, { vectors, factors }: Reflections): Tridiagonal {
  const n = matrix.rows;
  const a = matrix.values;
  const product = new Float64Array(n);
  const beside = new Float64Array(Math.max(0, n - 1));
  for (let k = 0; k < n - 2; k++) {
    const v = rowOf(vectors, k);
    let square = 0;
    for (let row = k + 1; row < n; row++) {
      v[row] = a[row * n + k]!;
      square += v[row]! ** 2;
    }
    const first = v[k + 1]!;
    const length = Math.sqrt(square);
    const head = first > 0 ? -length : length;
    beside[k] = head;
    if (length === 0) continue;
    v[k + 1] = first - head;
    const factor = 1 / (square - first * head);
    factors[k] = factor;
    multiplyLower(a, n, v, product, k + 1);
    let along = 0;
    for (let row = k + 1; row < n; row++) along += product[row]! * v[row]!;
    const half = (factor * along) / 2;
    for (let row = k + 1; row < n; row++) product[row] = factor * (product[row]! - half * v[row]!);
    for (let row = k + 1; row < n; row++) {
      const [left, right] = [v[row]!, product[row]!];
      const start = row * n;
      for (let column = k + 1; column <= row; column++) {
        a[start + column]! -= left * product[column]! + right * v[column]!;
      }
    }
  }
  if (n > 1) beside[n - 2] = a[(n - 1) * n + n - 2]!;
  return { diagonal: Float64Array.from({ length: n }, (_, at) => a[at * n + at]!), beside };
}

/** product ← a·v over rows and columns from `first` on, reading the lower half of `a` once. */
function multiplyLower(
  a: Float64Array,
  n: number,
  v: Float64Array,
  product: Float64Array,
  first: number,
): void {
  product.fill(0);
  for (let row = first; row < n; row++) {
    const start = row * n;
    const weight = v[row]!;
    let sum = 0;
    for (let column = first; column < row; column++) {
      const value = a[start + column]!;
      sum += value * v[column]!;
      product[column]! += value * weight;
    }
    product[row]! += sum + a[start + row]! * weight;
  }
}

/** Undoes the reduction for rows that are eigenvectors of the tridiagonal matrix. */
function reflect(vectors: MatrixRows, reflections: Reflections): void {
  for (let k = reflections.vectors.rows - 1; k >= 0; k--) {
    const factor = reflections.factors[k]!;
    if (factor === 0) continue;
    const v = rowOf(reflections.vectors, k).subarray(k + 1);
    for (let row = 0; row < vectors.rows; row++) {
      const vector = rowOf(vectors, row).subarray(k + 1);
      addScaled(vector, -factor * dot(vector, v), v);
    }
  }
}

/** By implicit QR steps with Wilkinson's shift, the largest first. */
function eigenvalues({ diagonal, beside }: Tridiagonal): Float64Array {
  const a = Float64Array.from(diagonal);
  const b = Float64Array.from(beside);
  let end = a.length - 1;
  while (end > 0) {
    for (let at = 0; at < end; at++) {
      if (Math.abs(b[at]!) <= Number.EPSILON * (Math.abs(a[at]!) + Math.abs(a[at + 1]!))) b[at] = 0;
    }
    while (end > 0 && b[end - 1] === 0) end--;
    if (end === 0) break;
    let start = end - 1;
    while (start > 0 && b[start - 1] !== 0) start--;
    shiftedStep(a, b, start, end);
  }
  return a.sort().reverse();
}

/** One QR step on the part from `start` to `end`, whose `b` are none of them zero. */
function shiftedStep(a: Float64Array, b: Float64Array, start: number, end: number): void {
  const half = (a[end - 1]! - a[end]!) / 2;
  const low = b[end - 1]!;
  const root = Math.hypot(half, low);
  const shift = a[end]! - low ** 2 / (half + (half >= 0 ? root : -root));
  let x = a[start]! - shift;
  let z = b[start]!;
  for (let k = start; k < end; k++) {
    const length = Math.hypot(x, z);
    const [c, s] = length === 0 ? [1, 0] : [x / length, z / length];
    if (k > start) b[k - 1] = length;
    const [upper, lower, between] = [a[k]!, a[k + 1]!, b[k]!];
    a[k] = c * c * upper + 2 * c * s * between + s * s * lower;
    a[k + 1] = s * s * upper - 2 * c * s * between + c * c * lower;
    b[k] = c * s * (lower - upper) + (c * c - s * s) * between;
    if (k < end - 1) {
      x = b[k]!;
      z = s * b[k + 1]!;
      b[k + 1]! *= c;
    }
  }
}

/** Each divides what is not wanted by the gap between eigenvalues over the rounding of f64, so few suffice. */
const TURNS = 2;

/** One vector for each value, orthonormal also where values lie together. */
function inverseIterate(tridiagonal: Tridiagonal, values: Float64Array): MatrixRows {
  const n = tridiagonal.diagonal.length;
  const vectors = matrixRows(values.length, n);
  const random = new SeededRandom(n);
  for (const [index, value] of values.entries()) {
    const vector = rowOf(vectors, index);
    for (let at = 0; at < n; at++) vector[at] = random.uniform() - 0.5;
    for (let turn = 0; turn < TURNS; turn++) {
      solveShifted(tridiagonal, value, vector);
      scale(vector, 1 / largest(vector));
      takeOut(vectors, index, vector);
    }
    // What a cluster of values leaves of a vector may be short: once more, and it is orthogonal to the last bit.
    takeOut(vectors, index, vector);
  }
  return vectors;
}

/** Makes `vector` orthogonal to the first `count` rows, and its length 1. */
function takeOut(vectors: MatrixRows, count: number, vector: Float64Array): void {
  for (let before = 0; before < count; before++) {
    const other = rowOf(vectors, before);
    addScaled(vector, -dot(vector, other), other);
  }
  scale(vector, 1 / Math.sqrt(dot(vector, vector)));
}

const largest = (row: Float64Array): number =>
  row.reduce((most, value) => Math.max(most, Math.abs(value)), Number.MIN_VALUE);

/** x ← (T − shift·I)⁻¹·x by elimination with row exchanges; a pivot of zero becomes a tiny one. */
function solveShifted({ diagonal, beside }: Tridiagonal, shift: number, x: Float64Array): void {
  const n = diagonal.length;
  const main = diagonal.map((value) => value - shift);
  const upper = Float64Array.from(beside);
  const second = new Float64Array(n);
  const tiny =
    Number.EPSILON *
    Math.max(largest(diagonal), beside.length > 0 ? largest(beside) : 0, Number.MIN_VALUE * 2 ** 60);
  for (let k = 0; k < n - 1; k++) {
    const below = beside[k]!;
    if (Math.abs(below) > Math.abs(main[k]!)) {
      const factor = main[k]! / below;
      const [pivotUpper, pivotSecond] = [main[k + 1]!, k + 1 < n - 1 ? upper[k + 1]! : 0];
      main[k + 1] = upper[k]! - factor * pivotUpper;
      if (k + 1 < n - 1) upper[k + 1] = -factor * pivotSecond;
      main[k] = below;
      upper[k] = pivotUpper;
      second[k] = pivotSecond;
      const top = x[k]!;
      x[k] = x[k + 1]!;
      x[k + 1] = top - factor * x[k]!;
    } else {
      if (Math.abs(main[k]!) < tiny) main[k] = tiny;
      const factor = below / main[k]!;
      main[k + 1]! -= factor * upper[k]!;
      x[k + 1]! -= factor * x[k]!;
    }
  }
  if (Math.abs(main[n - 1]!) < tiny) main[n - 1] = tiny;
  for (let k = n - 1; k >= 0; k--) {
    let sum = x[k]!;
    if (k + 1 < n) sum -= upper[k]! * x[k + 1]!;
    if (k + 2 < n) sum -= second[k]! * x[k + 2]!;
    x[k] = sum / main[k]!;
  }
}
