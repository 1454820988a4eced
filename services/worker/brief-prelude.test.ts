import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPreludeBrief } from './brief-prelude.ts';

test('a prelude without layers is brief, and one of a tenth of the block', () => {
  const brief = (prelude: number, block: number) => isPreludeBrief({ prelude, block });
  assert.deepEqual([brief(0, 1), brief(1, 28), brief(1, 10)], [true, true, true]);
  assert.deepEqual([brief(1, 9), brief(2, 4)], [false, false]);
});
