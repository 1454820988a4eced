import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGETS } from './target.ts';
import { TestProduct } from './test-product.ts';

/** Rows of every number that goes through the weights together. */
const [ROWS, COLUMNS, OUTPUTS] = [8 + 4 + 2 + 1, 96, 16];
const BLOCKS = COLUMNS / 32;
const BROKEN_ROW = 5;
const NO_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] as const;

const wave = (at: number): number => Math.fround(Math.sin(at * 12.9898) * 3);
const bytes = Uint8Array.from({ length: COLUMNS * OUTPUTS }, (_, at) => (at * 37) % 251);
const PARTS = {
  int8: [
    Int8Array.from(bytes, (byte) => (byte % 127) - 63),
    Float32Array.from({ length: OUTPUTS }, (_, at) => 0.01 + 0.003 * at),
  ],
  int4: [
    bytes.subarray(0, bytes.length / 2),
    new Float32Array(OUTPUTS * BLOCKS).fill(0.01),
    new Uint8Array(OUTPUTS * Math.ceil(BLOCKS / 2)).fill(0x87),
  ],
} as const;
const whole = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) => wave(at));

/** Columns of a row that are broken together. */
const places = [...[0, 7, 18, 29, 31, 32, 95].map((column) => [column]), [...Array(COLUMNS).keys()]];

/** A row with `value` in these columns. */
function broken(value: number, columns: readonly number[]): Float32Array {
  const rows = whole.slice();
  for (const column of columns) rows[BROKEN_ROW * COLUMNS + column] = value;
  return rows;
}

for (const precision of ['int8', 'int4'] as const) {
  test(`${precision}: of a row with NaN or an infinity come no numbers, and of those beside it what comes without it`, () => {
    for (const [worker, target] of TARGETS.flatMap((target) => [
      ['product', target] as const,
      ['gated', target] as const,
    ])) {
      const run = (source: Float32Array) =>
        new TestProduct(precision, worker, [OUTPUTS, COLUMNS], PARTS[precision], source, target).run();
      const expected = run(whole);
      const width = expected.length / ROWS;
      const [first, end] = [BROKEN_ROW * width, (BROKEN_ROW + 1) * width];
      for (const [value, columns] of NO_NUMBERS.flatMap((value) =>
        places.map((columns) => [value, columns] as const),
      )) {
        const found = run(broken(value, columns));
        const what = `${worker}, ${target.dots}: ${value} in ${columns.length} columns from ${columns[0]}`;
        assert.ok(
          !found.subarray(first, end).some(Number.isFinite),
          `${what}: ${found.subarray(first, end)}`,
        );
        assert.deepEqual(found.subarray(0, first), expected.subarray(0, first), what);
        assert.deepEqual(found.subarray(end), expected.subarray(end), what);
      }
    }
  });
}

test('int4 with factors: a row with NaN or an infinity has no number as its largest value, those beside it their own', () => {
  const largest = (source: Float32Array) => {
    const given = [[OUTPUTS, COLUMNS], PARTS.int4, source, TARGETS[0]!, { alsoWhole: true }] as const;
    return [...new TestProduct('int4', 'product', ...given).wholeLargest()];
  };
  const expected = Array.from({ length: ROWS }, (_, row) =>
    Math.max(...whole.subarray(row * COLUMNS, (row + 1) * COLUMNS).map(Math.abs)),
  );
  assert.deepEqual(largest(whole), expected);
  for (const [value, columns] of NO_NUMBERS.flatMap((value) =>
    places.map((columns) => [value, columns] as const),
  )) {
    assert.deepEqual(largest(broken(value, columns)), expected.with(BROKEN_ROW, Math.abs(value)));
  }
});
