import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { topK } from './top-k.ts';

test('the largest come first, of equal ones the lower id', () => {
  const logit = fc.constantFrom(-3, -0.5, 0, 1, 1.5, 7);
  fc.assert(
    fc.property(
      fc.array(logit, { minLength: 5, maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      (values, count) => {
        const logits = Float32Array.from(values);
        const [topLogits, topIds] = [new Float32Array(count), new Int32Array(count)];
        topK(logits, topLogits, topIds);
        const ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, count);
        assert.deepEqual([...topIds], ids);
        assert.deepEqual(
          [...topLogits],
          ids.map((id) => logits[id]),
        );
      },
    ),
  );
});
