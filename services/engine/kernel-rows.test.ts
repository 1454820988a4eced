import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { kernelRowsMax } from './kernel-rows.ts';

/** Of a layer of SmolLM2 135M, and of one of TinyLlama 1.1B. */
const [SMALL, LARGE] = [3_538_944, 44_040_192];

test('without joined vectors the kernel takes few rows', () => {
  for (const dots of ['pairs', 'fours'] as const) {
    const target = { dots, registerVectors: 1 } as const;
    assert.equal(kernelRowsMax(target, 'int4', SMALL), LIMITS.kernelRows);
    assert.equal(kernelRowsMax(target, 'int8', SMALL), LIMITS.kernelRows);
  }
});

test('rows of int4 all go through the kernel, rows of int8 the more the smaller the layers are', () => {
  const [pairs, fours] = (['pairs', 'fours'] as const).map((dots) => ({ dots, registerVectors: 2 }) as const);
  assert.equal(kernelRowsMax(pairs!, 'int4', LARGE), LIMITS.stepRowsMax);
  assert.equal(kernelRowsMax(fours!, 'int8', SMALL), 33);
  assert.equal(kernelRowsMax(pairs!, 'int8', SMALL), 16);
  assert.equal(kernelRowsMax(fours!, 'int8', LARGE), LIMITS.kernelRows);
  assert.equal(kernelRowsMax(fours!, 'int8', 1), LIMITS.stepRowsMax);
});
