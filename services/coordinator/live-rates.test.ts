import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LiveFrame } from './live-frame.ts';
import { ratesBetween } from './live-rates.ts';

const worker = { id: 'w1', model: 'm', state: 'serving', faults: 0, sequences: 2, kvShare: 0.25 };
const before: LiveFrame = {
  ...{ atMs: 1000, models: ['m'], maxDepth: 2, running: 1, waiting: 0, tokens: 10, exits: [4, 6] },
  ...{ workers: [{ ...worker, runs: 1, depthRows: [10, 5] }], firstTokenMs: null, betweenTokensMs: 20 },
};
const now: LiveFrame = {
  ...before,
  ...{ atMs: 1500, tokens: 20, exits: [5, 15], workers: [{ ...worker, runs: 6, depthRows: [30, 10] }] },
};

test('rates are what happened a second, of each worker and of all', () => {
  const { tokens, depths, exits, workers } = ratesBetween(before, now);
  assert.deepEqual({ tokens, depths, exits }, { tokens: 20, depths: [40, 10], exits: [2, 18] });
  assert.deepEqual(
    workers.map(({ rowsPerStep, depths }) => ({ rowsPerStep, depths })),
    [{ rowsPerStep: 5, depths: [40, 10] }],
  );
});

test('a worker that has just come, and counts that began anew, give no rate', () => {
  const newcomer = { ...worker, id: 'w2', runs: 900, depthRows: [9000, 9000] };
  assert.deepEqual(ratesBetween(before, { ...now, workers: [newcomer] }).depths, [0, 0]);
  assert.equal(ratesBetween(now, { ...before, atMs: 2000 }).tokens, 0);
});

test('two frames of one moment have no rates', () => {
  const { seconds, tokens, depths } = ratesBetween(before, before);
  assert.deepEqual({ seconds, tokens, depths }, { seconds: 0, tokens: 0, depths: [0, 0] });
});
