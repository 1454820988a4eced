import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { passesIn, splitDepths } from './depth.ts';

test('stages cover every depth once, in order, and differ by at most one pass', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 80 }), (maxDepth, count) => {
      const ranges = splitDepths(maxDepth, count);
      assert.equal(ranges.length, Math.min(maxDepth, count));
      assert.equal(ranges[0]?.first, 0);
      assert.equal(ranges.at(-1)?.end, maxDepth);
      ranges.slice(1).forEach((range, index) => {
        assert.equal(range.first, ranges[index]?.end);
      });
      const lengths = ranges.map(passesIn);
      assert.ok(Math.max(...lengths) - Math.min(...lengths) <= 1);
    }),
  );
});
