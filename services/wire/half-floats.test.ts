import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { floatsOfHalves, halvesOf } from './half-floats.ts';

const there = (...values: number[]) => [...floatsOfHalves(halvesOf([Float32Array.from(values)]))];
const LARGEST = 65504;

test('every half comes back as the float that it is, and goes out again as itself', () => {
  const halves = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
  const bytes = new Uint8Array(halves.buffer);
  const floats = floatsOfHalves(bytes);
  assert.deepEqual([...floats], [...new Float16Array(halves.buffer)]);
  const back = new Uint16Array(halvesOf([floats]).slice().buffer);
  const finite = halves.filter((bits) => (bits & 0x7fff) < 0x7c00);
  assert.deepEqual(
    finite.map((bits) => back[bits]!),
    finite,
  );
});

test('any float is rounded as Float16Array rounds it, but for what is too large', () => {
  fc.assert(
    fc.property(fc.uint32Array({ minLength: 1, maxLength: 40 }), (bits) => {
      const floats = new Float32Array(bits.slice().buffer);
      const clamped = floats.map((value) => Math.max(-LARGEST, Math.min(LARGEST, value)));
      assert.deepEqual(there(...floats), [...new Float16Array(clamped)]);
    }),
    {
      numRuns: 1000,
      examples: [[Uint32Array.of(0x80000000, 0x00000001, 0x477fefff, 0x33000000, 0x33000001)]],
    },
  );
});

test('half precision saturates, infinity too, wherever it stands, and leaves NaN', () => {
  assert.deepEqual(there(1 + 2 ** -12, 70_000, -1e30, 65_519), [1, LARGEST, -LARGEST, LARGEST]);
  for (let at = 0; at < 9; at++) {
    const values = [1, 2, 3, 4, 5, 6, 7, 8, 9].with(at, Number.NEGATIVE_INFINITY);
    assert.deepEqual(there(...values), values.with(at, -LARGEST));
  }
  assert.ok(Number.isNaN(there(1, Number.NaN)[1]));
});

test('parts lie one behind the other, whatever their length, and none at all is none', () => {
  const parts = [Float32Array.of(1, 2, 3), new Float32Array(0), new Float32Array(70_000).fill(4)];
  const floats = floatsOfHalves(halvesOf(parts));
  assert.deepEqual([...floats.subarray(0, 5)], [1, 2, 3, 4, 4]);
  assert.equal(floats.length, 70_003);
  assert.ok(floats.subarray(3).every((value) => value === 4));
  assert.equal(floatsOfHalves(halvesOf([])).length, 0);
});

test('floats share no memory with the frame that they came in, at any offset in it, nor with the next', () => {
  const frame = new Uint8Array(7);
  frame.set(halvesOf([Float32Array.of(1, -2.5, 3)]), 1);
  const floats = floatsOfHalves(frame.subarray(1));
  frame.fill(0);
  floatsOfHalves(frame.subarray(1));
  assert.deepEqual([...floats], [1, -2.5, 3]);
  assert.equal(floats.byteLength, floats.buffer.byteLength);
});

test('half of a half is refused', () => {
  assert.throws(() => floatsOfHalves(new Uint8Array(5)), { code: 'PROTOCOL_MISMATCH' });
});
