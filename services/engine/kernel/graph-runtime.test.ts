import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_COLUMNS } from './round-blocks.ts';
import { TARGETS } from './target.ts';
import { node, runGraph, weight } from './test-graph.ts';
import { TestProduct } from './test-product.ts';

const [ROWS, BLOCKS, OUTPUTS] = [24, 5, 48];
const COLUMNS = BLOCKS * BLOCK_COLUMNS;
/** A last place, as a share of a float. */
const LAST_PLACE = 2 ** -23;

let word = 7;
/** Of a fixed sequence, from −1 to 1. */
function random(): number {
  word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
  return word / 2 ** 31 - 1;
}
const randomBytes = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, () => Math.floor((random() + 1) * 128));

/** Rows rounded by `block` columns, of which every second value is as near as a float can be to the middle between two bytes. */
function rowsNearTies(block: number): Float32Array {
  const rows = Float32Array.from({ length: ROWS * COLUMNS }, random);
  for (let first = 0; first < rows.length; first += block) {
    const largest = rows
      .subarray(first, first + block)
      .reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let at = first; at < first + block; at += 2) {
      if (Math.abs(rows[at]!) < largest) rows[at] = ((Math.floor(rows[at]! * 120) + 0.5) * largest) / 127;
    }
  }
  return rows;
}

/** Rows all together and one by one: the runtime has other kernels for one row. */
function bothWays(parts: readonly Buffer[], x: Float32Array, columns: number): Float32Array[] {
  const rows = Array.from({ length: x.length / columns }, (_, row) =>
    runGraph(parts, x.slice(row * columns, (row + 1) * columns), columns),
  );
  return [runGraph(parts, x, columns), Float32Array.from(rows.flatMap((row) => [...row]))];
}

const matMulNBits = (
  [outputs, columns]: readonly [number, number],
  [data, scales, zeros]: readonly [Uint8Array, Float32Array, Uint8Array],
): Buffer[] => [
  node(
    'MatMulNBits',
    ['x', 'data', 'scales', 'zeros'],
    'y',
    { K: columns, N: outputs, bits: 4, block_size: BLOCK_COLUMNS, accuracy_level: 4 },
    'com.microsoft',
  ),
  weight('data', 'uint8', data, [outputs, columns / BLOCK_COLUMNS, BLOCK_COLUMNS / 2]),
  weight('scales', 'float32', scales, [scales.length]),
  weight('zeros', 'uint8', zeros, [zeros.length]),
];

/** What int8 is in a graph. (ADR 14) */
const integerProduct = (data: Int8Array, scales: Float32Array): Buffer[] => [
  node('Abs', ['x'], 'size'),
  node('ReduceMax', ['size', 'axis'], 'largest', { keepdims: 1 }),
  node('Div', ['x', 'largest'], 'share'),
  node('QuantizeLinear', ['share', 'step', 'middle'], 'bytes'),
  node('MatMulIntegerToFloat', ['bytes', 'data', 'step', 'scales', 'middle'], 'product', {}, 'com.microsoft'),
  node('Mul', ['product', 'largest'], 'y'),
  weight('axis', 'int64', BigInt64Array.of(1n), [1]),
  weight('step', 'float32', Float32Array.of(1 / 127), []),
  weight('middle', 'uint8', Uint8Array.of(128), []),
  weight('data', 'int8', data, [COLUMNS, OUTPUTS]),
  weight('scales', 'float32', scales, [OUTPUTS]),
];

/** Random weights of four bits. */
const int4Parts = (): [Uint8Array, Float32Array, Uint8Array] => [
  randomBytes((OUTPUTS * COLUMNS) / 2),
  Float32Array.from({ length: OUTPUTS * BLOCKS }, () => 0.01 + 0.005 * random()),
  randomBytes(OUTPUTS * Math.ceil(BLOCKS / 2)),
];

test('int4: rows become the bytes that the graph runtime makes of them, in the middle between two as well', () => {
  const x = rowsNearTies(BLOCK_COLUMNS);
  const { bytes, divisors } = new TestProduct(
    'int4',
    'product',
    [OUTPUTS, COLUMNS],
    int4Parts(),
    x,
    TARGETS[0]!,
  ).rounded();
  // Weights of 1 on the diagonal: the runtime puts out its bytes, times their scale.
  const data = new Uint8Array(BLOCK_COLUMNS ** 2 / 2);
  for (let at = 0; at < BLOCK_COLUMNS; at++) {
    data[(at * BLOCK_COLUMNS) / 2 + (at >> 1)] = 1 << ((at & 1) * 4);
  }
  const scales = new Float32Array(BLOCK_COLUMNS).fill(1);
  const diagonal = matMulNBits([BLOCK_COLUMNS, BLOCK_COLUMNS], [data, scales, new Uint8Array(BLOCK_COLUMNS)]);
  for (const theirs of bothWays(diagonal, x, BLOCK_COLUMNS)) {
    assert.deepEqual(
      bytes,
      [...theirs].map((value, at) => Math.round(value / divisors[at]!) + 0),
    );
  }
});

test("int4: products are the graph runtime's but for the order of their sums, for every processor", () => {
  const x = rowsNearTies(BLOCK_COLUMNS);
  const parts = int4Parts();
  const runtime = bothWays(matMulNBits([OUTPUTS, COLUMNS], parts), x, COLUMNS);
  for (const [target, theirs] of TARGETS.flatMap((target) => runtime.map((out) => [target, out] as const))) {
    const ours = new TestProduct('int4', 'product', [OUTPUTS, COLUMNS], parts, x, target).run();
    ours.forEach((value, at) => {
      const row = Math.floor(at / OUTPUTS);
      // Weights and zero points are summed apart, each of up to 15 scales.
      const summed = x
        .subarray(row * COLUMNS, (row + 1) * COLUMNS)
        .reduce((sum, part) => sum + 2 * 15 * 0.015 * Math.abs(part), 0);
      const difference = Math.abs(value - theirs[at]!);
      assert.ok(difference <= LAST_PLACE * summed, `row ${row}: ${value}, theirs ${theirs[at]}`);
    });
  }
});

test("int8: products are the graph runtime's bit for bit, for every processor, in the middle between two bytes as well", () => {
  const x = rowsNearTies(COLUMNS);
  const data = Int8Array.from({ length: COLUMNS * OUTPUTS }, () => Math.round(63 * random()));
  const scales = Float32Array.from({ length: OUTPUTS }, () => 0.01 + 0.005 * random());
  const runtime = bothWays(integerProduct(data, scales), x, COLUMNS);
  for (const [target, theirs] of TARGETS.flatMap((target) => runtime.map((out) => [target, out] as const))) {
    const ours = new TestProduct('int8', 'product', [OUTPUTS, COLUMNS], [data, scales], x, target).run();
    assert.deepEqual(
      [...ours].map((value) => value + 0),
      [...theirs].map((value) => value + 0),
    );
  }
});
