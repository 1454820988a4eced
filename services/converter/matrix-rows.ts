/** A dense matrix, row after row, in f64. */
export interface MatrixRows {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export const matrixRows = (rows: number, columns: number): MatrixRows => ({
  rows,
  columns,
  values: new Float64Array(rows * columns),
});

/** Row `index` as a view. */
export const rowOf = ({ values, columns }: MatrixRows, index: number): Float64Array =>
  values.subarray(index * columns, (index + 1) * columns);

export function transposed({ rows, columns, values }: MatrixRows): MatrixRows {
  const turned = matrixRows(columns, rows);
  // Tiles, so that neither side strides through memory for long.
  const tile = 32;
  for (let top = 0; top < rows; top += tile) {
    for (let left = 0; left < columns; left += tile) {
      for (let row = top; row < Math.min(top + tile, rows); row++) {
        for (let column = left; column < Math.min(left + tile, columns); column++) {
          turned.values[column * rows + row] = values[row * columns + column]!;
        }
      }
    }
  }
  return turned;
}

export function dot(a: Float64Array, b: Float64Array): number {
  const fours = a.length & ~3;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let at = 0; at < fours; at += 4) {
    s0 += a[at]! * b[at]!;
    s1 += a[at + 1]! * b[at + 1]!;
    s2 += a[at + 2]! * b[at + 2]!;
    s3 += a[at + 3]! * b[at + 3]!;
  }
  let sum = s0 + s1 + (s2 + s3);
  for (let at = fours; at < a.length; at++) sum += a[at]! * b[at]!;
  return sum;
}

/** to ← to + factor · from */
export function addScaled(to: Float64Array, factor: number, from: Float64Array): void {
  for (let at = 0; at < to.length; at++) to[at]! += factor * from[at]!;
}

export function scale(row: Float64Array, factor: number): void {
  for (let at = 0; at < row.length; at++) row[at]! *= factor;
}

/** Columns that one turn of `rowProducts` works on: a few hundred rows of them fit the second cache. */
const SPAN = 256;

/** a · bᵀ: [a.rows, b.rows], every entry the product of two rows. Of a · aᵀ one half is computed and mirrored. */
export function rowProducts(a: MatrixRows, b: MatrixRows): MatrixRows {
  const products = matrixRows(a.rows, b.rows);
  const mirrored = a === b;
  for (let start = 0; start < a.columns; start += SPAN) {
    const end = Math.min(start + SPAN, a.columns);
    for (let row = 0; row < a.rows; row += 4) {
      const last = mirrored ? Math.min(row + 4, b.rows) : b.rows;
      for (let other = 0; other < last; other += 4) {
        if (row + 4 <= a.rows && other + 4 <= b.rows) addTile(products, a, b, row, other, start, end);
        else addEdge(products, a, b, row, other, start, end);
      }
    }
  }
  if (mirrored) {
    for (let row = 0; row < a.rows; row++) {
      for (let other = 0; other < row; other++) {
        products.values[other * a.rows + row] = products.values[row * a.rows + other]!;
      }
    }
  }
  return products;
}

/** Sixteen products of four rows of `a` with four of `b`: eight loads serve sixteen multiplications. */
function addTile(
  products: MatrixRows,
  a: MatrixRows,
  b: MatrixRows,
  row: number,
  other: number,
  start: number,
  end: number,
): void {
  const [x, y, sums, n, m] = [a.values, b.values, products.values, a.columns, b.columns];
  // One variable each: V8 keeps these in registers, and no array.
  let s00 = 0;
  let s01 = 0;
  let s02 = 0;
  let s03 = 0;
  let s10 = 0;
  let s11 = 0;
  let s12 = 0;
  let s13 = 0;
  let s20 = 0;
  let s21 = 0;
  let s22 = 0;
  let s23 = 0;
  let s30 = 0;
  let s31 = 0;
  let s32 = 0;
  let s33 = 0;
  let i = row * n + start;
  let j = other * m + start;
  for (const stop = i + end - start; i < stop; i++, j++) {
    const y0 = y[j]!;
    const y1 = y[j + m]!;
    const y2 = y[j + 2 * m]!;
    const y3 = y[j + 3 * m]!;
    const x0 = x[i]!;
    s00 += x0 * y0;
    s01 += x0 * y1;
    s02 += x0 * y2;
    s03 += x0 * y3;
    const x1 = x[i + n]!;
    s10 += x1 * y0;
    s11 += x1 * y1;
    s12 += x1 * y2;
    s13 += x1 * y3;
    const x2 = x[i + 2 * n]!;
    s20 += x2 * y0;
    s21 += x2 * y1;
    s22 += x2 * y2;
    s23 += x2 * y3;
    const x3 = x[i + 3 * n]!;
    s30 += x3 * y0;
    s31 += x3 * y1;
    s32 += x3 * y2;
    s33 += x3 * y3;
  }
  const to = row * b.rows + other;
  addFour(sums, to, s00, s01, s02, s03);
  addFour(sums, to + b.rows, s10, s11, s12, s13);
  addFour(sums, to + 2 * b.rows, s20, s21, s22, s23);
  addFour(sums, to + 3 * b.rows, s30, s31, s32, s33);
}

function addFour(to: Float64Array, at: number, a: number, b: number, c: number, d: number): void {
  to[at]! += a;
  to[at + 1]! += b;
  to[at + 2]! += c;
  to[at + 3]! += d;
}

/** The same for what is left over at the edges. */
function addEdge(
  products: MatrixRows,
  a: MatrixRows,
  b: MatrixRows,
  row: number,
  other: number,
  start: number,
  end: number,
): void {
  for (let r = row; r < Math.min(row + 4, a.rows); r++) {
    for (let o = other; o < Math.min(other + 4, b.rows); o++) {
      const part = dot(
        a.values.subarray(r * a.columns + start, r * a.columns + end),
        b.values.subarray(o * b.columns + start, o * b.columns + end),
      );
      products.values[r * b.rows + o]! += part;
    }
  }
}
