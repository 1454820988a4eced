import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Chunk, Phase } from './chunk.ts';
import { WorkDone } from './work-done.ts';

const chunk = (phase: Phase, passes: number, rows: number) => ({ phase, passes, rows }) as unknown as Chunk;

test('a worker tells how often the block ran, and how many rows ran the pass at each depth', () => {
  const work = new WorkDone(3);
  assert.deepEqual(work.now, { runs: 0, depthRows: [0, 0, 0] });
  work.ran({ phase: 'block', chunks: [chunk('block', 0, 16), chunk('block', 2, 1), chunk('block', 2, 1)] });
  work.ran({ phase: 'head', chunks: [chunk('head', 3, 1)] });
  work.ran({ phase: 'block', chunks: [chunk('block', 1, 4)] });
  assert.deepEqual(work.now, { runs: 2, depthRows: [16, 4, 2] });
});
