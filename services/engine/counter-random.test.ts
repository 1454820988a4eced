import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { philox4x32, uniform } from './counter-random.ts';

const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

test('philox4x32-10 gives the known answers of Random123 (kat_vectors)', () => {
  const ones = 0xffffffff;
  assert.equal(hex(philox4x32([0, 0, 0, 0], [0, 0])), '6627e8d5 e169c58d bc57ac4c 9b00dbd8');
  assert.equal(
    hex(philox4x32([ones, ones, ones, ones], [ones, ones])),
    '408f276d 41c83b0e a20bc7c6 6d5451fd',
  );
  assert.equal(
    hex(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    'd16cfe09 94fdcceb 5001e420 24126ea1',
  );
});

test('a draw depends on seed and index only and lies in [0, 1)', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), (seed, index) => {
      const draw = uniform(seed, index);
      return draw >= 0 && draw < 1 && draw === uniform(seed, index);
    }),
  );
});

test('draws of neighbouring seeds and indices spread evenly', () => {
  const bins = new Array<number>(64).fill(0);
  for (let seed = 0; seed < 80; seed++) {
    for (let index = 0; index < 80; index++) bins[Math.floor(uniform(seed, index) * 64)]!++;
  }
  const chiSquare = bins.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  // 63 degrees of freedom: 103.4 is the 99.9th percentile.
  assert.ok(chiSquare < 103.4, `chi-square ${chiSquare}`);
});
