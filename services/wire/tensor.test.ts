import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOf, floatsOf, rowsOfTensor, tensorOfRows } from './tensor.ts';

const bitsOf = (floats: Float32Array): number[] => [
  ...new Uint32Array(floats.buffer, floats.byteOffset, floats.length),
];

test('any 32-bit pattern, NaN payloads and −0 too, survives at any offset in a frame', () => {
  fc.assert(
    fc.property(
      fc.uint32Array({ maxLength: 64 }),
      fc.array(fc.nat(63), { maxLength: 3 }),
      fc.nat(7),
      (bits, cuts, offset) => {
        const floats = new Float32Array(bits.buffer, bits.byteOffset, bits.length);
        const edges = [
          0,
          ...cuts.map((cut) => Math.min(cut, floats.length)).sort((a, b) => a - b),
          floats.length,
        ];
        const parts = edges.slice(1).map((end, index) => floats.subarray(edges[index], end));
        const sent = bytesOf(parts);
        const frame = new Uint8Array(offset + sent.length);
        frame.set(sent, offset);
        assert.deepEqual(bitsOf(floatsOf(frame.subarray(offset))), [...bits]);
      },
    ),
    { examples: [[Uint32Array.of(0x7f800001, 0xffc01234, 0x80000000, 0xff800000, 1), [2], 3]] },
  );
});

test('received floats share no memory with the frame', () => {
  const frame = new Uint8Array(new Float32Array([1, 2]).buffer);
  const floats = floatsOf(frame);
  frame.fill(0);
  assert.deepEqual([...floats], [1, 2]);
  assert.equal(floats.byteLength, floats.buffer.byteLength);
});

test('rows are taken out of a tensor in order', () => {
  const rows = rowsOfTensor(
    tensorOfRows([new Float32Array([1, 2]), new Float32Array([3, 4, 5, 6])], 3, 2, 'f32'),
  );
  assert.deepEqual([rows.rows, rows.columns], [3, 2]);
  assert.deepEqual([...rows.take(1, 2)], [3, 4, 5, 6]);
});

test('rows of halves are taken out of a tensor in order', () => {
  const parts = [Float32Array.of(1, 2), Float32Array.of(3, 4, 5, 6)];
  const rows = rowsOfTensor(tensorOfRows(parts, 3, 2, 'f16'));
  assert.deepEqual([...rows.take(1, 2)], [3, 4, 5, 6]);
});

test('a tensor that is no matrix of its own dimensions is refused', () => {
  const good = tensorOfRows([new Float32Array(6)], 3, 2, 'f32');
  const refused = { code: 'PROTOCOL_MISMATCH' };
  assert.throws(() => rowsOfTensor({ ...good, dataType: 11 }), { ...refused, message: /data type 11/ });
  assert.throws(() => rowsOfTensor({ ...good, dataType: 0 }), refused);
  assert.throws(() => rowsOfTensor({ ...good, dims: [3, 3] }), { ...refused, message: /24 bytes.*\[3,3\]/ });
  assert.throws(() => rowsOfTensor({ ...good, dims: [6] }), refused);
  assert.throws(() => rowsOfTensor({ ...good, dims: [3, 2, 1] }), refused);
  assert.throws(() => floatsOf(new Uint8Array(5)), refused);
});
