import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rotaryBase } from './huggingface-config.ts';
import { defaultRope } from './rope.ts';

test('the base of rotations is found again in frequencies of f32, as those of a GGUF file are', () => {
  for (const [base, headDim] of [
    [1e6, 128],
    [500_000, 128],
    [10_000, 64],
    [1e7, 128],
    [8e6, 96],
    [1_000_042, 128],
    [1e6, 4],
  ] as const) {
    assert.equal(rotaryBase({ headDim, rope: defaultRope(base, headDim) }), base, `${base}, ${headDim}`);
  }
});
