import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_COLUMNS } from './round-blocks.ts';
import { TARGETS } from './target.ts';
import { TestProduct } from './test-product.ts';

/** Rows of every number that goes through the weights together, in two tiles. */
const [ROWS, BLOCKS, OUTPUTS] = [8 + 4 + 2 + 1, 3, 16];
const COLUMNS = BLOCKS * BLOCK_COLUMNS;

const wave = (at: number): number => Math.fround(Math.sin(at * 12.9898) * 3);
const weightOf = (output: number, column: number): number => (output * 5 + column * 11) % 16;
const zeroOf = (output: number, block: number): number => (output * 3 + block * 7) % 16;
const scaleOf = (output: number, block: number): number => Math.fround(0.01 + 0.003 * output + 0.001 * block);

/** A matrix as a bundle holds it: words [outputs, blocks, 4], scales [outputs, blocks], zero points two a byte. */
function parts(): readonly [Uint8Array, Float32Array, Uint8Array] {
  const data = Uint8Array.from({ length: (OUTPUTS * COLUMNS) / 2 }, (_, at) => {
    const [output, column] = [Math.floor((at * 2) / COLUMNS), (at * 2) % COLUMNS];
    return weightOf(output, column) | (weightOf(output, column + 1) << 4);
  });
  const scales = Float32Array.from({ length: OUTPUTS * BLOCKS }, (_, at) =>
    scaleOf(Math.floor(at / BLOCKS), at % BLOCKS),
  );
  const zeroBytes = Math.ceil(BLOCKS / 2);
  const zeros = Uint8Array.from({ length: OUTPUTS * zeroBytes }, (_, at) => {
    const [output, block] = [Math.floor(at / zeroBytes), (at % zeroBytes) * 2];
    return zeroOf(output, block) | (zeroOf(output, block + 1) << 4);
  });
  return [data, scales, zeros];
}

/** Extremes, zeros and waves. */
const source = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) =>
  at < 3 * COLUMNS ? (at < 2 * COLUMNS ? 5 * (1 - 2 * (at % 2)) : 0) : wave(at),
);

test('blocks of rows become bytes by their own largest value, and their products are sums of integers', () => {
  const product = new TestProduct('int4', 'product', [OUTPUTS, COLUMNS], parts(), source, TARGETS[0]!);
  const { bytes, divisors } = product.rounded();
  for (let first = 0; first < source.length; first += BLOCK_COLUMNS) {
    const values = [...source.subarray(first, first + BLOCK_COLUMNS)];
    const largest = Math.max(1e-30, ...values.map(Math.abs));
    assert.deepEqual(
      bytes.slice(first, first + BLOCK_COLUMNS),
      values.map((value) => Math.round(Math.fround(value * Math.fround(127 / largest))) + 0),
    );
    assert.equal(divisors[first], Math.fround(largest / 127));
  }
  product.run().forEach((found, at) => {
    const [row, output] = [Math.floor(at / OUTPUTS), at % OUTPUTS];
    let [sum, size] = [0, 0];
    for (let column = 0; column < COLUMNS; column++) {
      const block = Math.floor(column / BLOCK_COLUMNS);
      const value = bytes[row * COLUMNS + column]! * divisors[row * COLUMNS + column]!;
      const scale = scaleOf(output, block);
      sum += value * scale * (weightOf(output, column) - zeroOf(output, block));
      size += Math.abs(value) * scale * 15;
    }
    assert.ok(Math.abs(found - sum) <= 2 ** -23 * size, `${row}, ${output}: ${found}, expected ${sum}`);
  });
});

test('however products are summed, all bits of what is put out are the same', () => {
  for (const worker of ['product', 'gated'] as const) {
    const [first, ...others] = TARGETS.map((target) =>
      new TestProduct('int4', worker, [OUTPUTS, COLUMNS], parts(), source, target).run(),
    );
    for (const other of others) assert.deepEqual(other, first);
  }
});
