import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGETS, type Target } from './target.ts';
import { TestProduct } from './test-product.ts';

/** Rows of every number that goes through the weights together. */
const [ROWS, COLUMNS, OUTPUTS] = [8 + 4 + 2 + 1, 48, 16];

const wave = (at: number): number => Math.fround(Math.sin(at * 12.9898) * 3);

/** Extreme and other weights [columns, outputs]. */
const weights = Int8Array.from({ length: COLUMNS * OUTPUTS }, (_, at) =>
  at % OUTPUTS < 2 ? 63 - 126 * (at % OUTPUTS) : Math.round(wave(at) * 21),
);
const scales = Float32Array.from({ length: OUTPUTS }, (_, at) => 0.01 + 0.003 * at);
/** Extremes, zeros and waves. */
const source = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) =>
  at < 3 * COLUMNS ? (at < 2 * COLUMNS ? 5 * (1 - 2 * (at % 2)) : 0) : wave(at),
);
const productOf = (worker: 'product' | 'gated', target: Target) =>
  new TestProduct('int8', worker, [OUTPUTS, COLUMNS], [weights, scales], source, target);

/** As the graph computes it (ADR 14), in its order of roundings. */
function expected(): { rounded: number[]; out: number[] } {
  const rounded: number[] = [];
  const out: number[] = [];
  const step = Math.fround(1 / 127);
  for (let row = 0; row < ROWS; row++) {
    const values = source.subarray(row * COLUMNS, (row + 1) * COLUMNS);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const ints = [...values].map((value) =>
      largest === 0 ? 0 : Math.round(Math.fround(Math.fround(value / largest) / step)),
    );
    rounded.push(...ints);
    for (let output = 0; output < OUTPUTS; output++) {
      const sum = ints.reduce((total, int, column) => total + int * weights[column * OUTPUTS + output]!, 0);
      out.push(Math.fround(Math.fround(sum * Math.fround(step * scales[output]!)) * largest));
    }
  }
  return { rounded, out };
}

test('rows become bytes by their own largest value, and their products are those of the graph bit for bit', () => {
  const { rounded, out } = expected();
  for (const target of TARGETS) {
    const product = productOf('product', target);
    assert.deepEqual(
      product.rounded().bytes,
      rounded.map((int) => int + 0),
    );
    assert.deepEqual(
      [...product.run()].map((value) => value + 0),
      out.map((value) => value + 0),
    );
  }
});

test('gated, the first half of the outputs is the gate of the second', () => {
  const { out } = expected();
  const [first, ...others] = TARGETS.map((target) => productOf('gated', target).run()) as [
    Float32Array,
    ...Float32Array[],
  ];
  for (const other of others) assert.deepEqual(other, first);
  first.forEach((value, at) => {
    const row = Math.floor(at / (OUTPUTS / 2));
    const place = row * OUTPUTS + (at % (OUTPUTS / 2));
    const [gate, up] = [out[place]!, out[place + OUTPUTS / 2]!];
    const silu = (gate / (1 + Math.exp(-gate))) * up;
    assert.ok(Math.abs(value - silu) <= 1e-5 * Math.abs(silu) + 1e-6, `${at}: ${value}, expected ${silu}`);
  });
});

/** Halfway between two whole numbers, the even one. */
function nearest(value: number): number {
  const below = Math.floor(value);
  const above = value - below;
  return above === 0.5 ? below + Math.abs(below % 2) : Math.round(value);
}

test('what lies in the middle between two bytes becomes the graph\u2019s byte, though it is multiplied and not divided', () => {
  const columns = 256;
  const factors = [1, 3.7, 1 / 3, 1e-9];
  // Halves of every step of rows whose largest value is 254 steps of a half.
  const halves = factors.flatMap((factor) =>
    Array.from({ length: columns }, (_, at) => Math.fround(factor * (at < 2 ? 254 : 2 * (at - 129) + 1))),
  );
  const largest = factors.map((factor) => Math.fround(factor * 254));
  const ofRow = (at: number) => largest[Math.floor(at / columns)]!;
  const step = Math.fround(1 / 127);
  const bytes = halves.map((value, at) => nearest(Math.fround(Math.fround(value / ofRow(at)) / step)) + 0);
  const products = halves.map((value, at) => nearest(Math.fround(value * Math.fround(127 / ofRow(at)))) + 0);
  assert.notDeepEqual(products, bytes, 'these are not in the middle');
  const parts = [new Int8Array(columns * 8), new Float32Array(8)];
  const product = new TestProduct(
    'int8',
    'product',
    [8, columns],
    parts,
    Float32Array.from(halves),
    TARGETS[0]!,
  );
  assert.deepEqual(product.rounded().bytes, bytes);
});
