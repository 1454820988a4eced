import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Sample, withSample, workerCurves } from './history.ts';

const sample = (at: number, workers: Readonly<Record<string, number>> = {}): Sample => ({
  ...{ at, tokens: 0, firstTokenMs: null, betweenTokensMs: null },
  workers: new Map(Object.entries(workers).map(([id, share]) => [id, { kvShare: share, rowsPerStep: 0 }])),
});

test('a page that stays open keeps five minutes and no more', () => {
  let samples: readonly Sample[] = [];
  for (let at = 0; at < 2000; at++) samples = withSample(samples, sample(at));
  assert.equal(samples.length, 600);
  assert.deepEqual([samples[0]!.at, samples.at(-1)!.at], [1400, 1999]);
});

test('a worker has no value where it was not there', () => {
  const samples = [sample(0, { w1: 0.1 }), sample(1, { w1: 0.2, w2: 0.5 })];
  assert.deepEqual(workerCurves(samples, 'kvShare'), [
    { name: 'w1', values: [0.1, 0.2] },
    { name: 'w2', values: [null, 0.5] },
  ]);
});

test('many workers are told by their mean and the most of them', () => {
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`w${index}`, index / 20]));
  const curves = workerCurves([sample(0, many), sample(1)], 'kvShare');
  assert.deepEqual(
    curves.map(({ name, values }) => [name, values.map((value) => value && Number(value.toFixed(3)))]),
    [
      ['mean', [0.475, null]],
      ['most', [0.95, null]],
    ],
  );
});
