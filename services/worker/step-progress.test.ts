import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@rondo/core';
import { StepProgress } from './step-progress.ts';

test('a worker tells how many runs have ended, how long ago, and how long the one under way has lasted', () => {
  const clock = new ManualClock();
  const progress = new StepProgress(clock);
  clock.advance(100);
  assert.deepEqual(progress.now, { steps: 0, stillMs: 100, runningMs: 0 });
  progress.began();
  clock.advance(20);
  assert.deepEqual(progress.now, { steps: 0, stillMs: 120, runningMs: 20 });
  progress.ended();
  assert.deepEqual(progress.now, { steps: 1, stillMs: 0, runningMs: 0 });
  clock.advance(7);
  progress.began();
  progress.ended();
  clock.advance(3);
  assert.deepEqual(progress.now, { steps: 2, stillMs: 3, runningMs: 0 });
});
