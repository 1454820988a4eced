import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { QUANTIZATION_BLOCK, quantize } from './quantize.ts';

/** Reads the stored levels back: (q − zero) · scale. */
function dequantize(matrix: ReturnType<typeof quantize>, row: number, column: number): number {
  const { bits, blocks } = matrix;
  const block = Math.floor(column / QUANTIZATION_BLOCK);
  const inBlock = column % QUANTIZATION_BLOCK;
  const nibble = (bytes: Uint8Array, index: number) => (bytes[index >> 1]! >> ((index & 1) * 4)) & 15;
  const base = (row * blocks + block) * QUANTIZATION_BLOCK;
  const zeroRow = row * (bits === 8 ? blocks : Math.ceil(blocks / 2));
  const level = bits === 8 ? matrix.data[base + inBlock]! : nibble(matrix.data, base + inBlock);
  const zero =
    bits === 8 ? matrix.zeroPoints[zeroRow + block]! : nibble(matrix.zeroPoints.subarray(zeroRow), block);
  return (level - zero) * matrix.scales[row * blocks + block]!;
}

for (const bits of [4, 8] as const) {
  test(`${bits}-bit values are within one step of the weight, for columns that no block divides`, () => {
    const weights = fc.array(fc.float({ min: -4, max: 4, noNaN: true }), {
      minLength: 2 * 77,
      maxLength: 2 * 77,
    });
    fc.assert(
      fc.property(weights, (values) => {
        const weight = Float32Array.from(values);
        const matrix = quantize(weight, 2, 77, bits);
        for (let row = 0; row < 2; row++) {
          for (let column = 0; column < 77; column++) {
            const step = matrix.scales[row * matrix.blocks + Math.floor(column / QUANTIZATION_BLOCK)]!;
            const error = Math.abs(dequantize(matrix, row, column) - weight[row * 77 + column]!);
            assert.ok(error <= step * 1.001, `row ${row} column ${column}: off by ${error}, step ${step}`);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
}

test('zero stays exactly zero', () => {
  const weight = Float32Array.from({ length: 64 }, (_, index) => (index % 2 ? 0 : index / 10 - 2.3));
  const matrix = quantize(weight, 2, 32, 4);
  for (let index = 1; index < 64; index += 2) assert.equal(dequantize(matrix, index >> 5, index & 31), 0);
});
