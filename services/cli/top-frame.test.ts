import assert from 'node:assert/strict';
import { test } from 'node:test';
import { topFrame } from './top-frame.ts';

const worker = { id: 'w1', model: 'm', state: 'serving', sequences: 2, faults: 0, kvShare: 0.25 };
const before = {
  ...{ atMs: 1000, models: ['m'], maxDepth: 2, running: 1, waiting: 0, tokens: 10, exits: [4, 6] },
  ...{ workers: [{ ...worker, runs: 1, depthRows: [10, 5] }], firstTokenMs: null, betweenTokensMs: 20 },
};
const now = { ...before, atMs: 1500, tokens: 20, workers: [{ ...worker, runs: 6, depthRows: [30, 10] }] };

test('a screen shows the rates between two frames', () => {
  const text = topFrame(now, before, 200);
  assert.match(text, /20 tokens\/s {2}first token - {2}token to token 20 ms/);
  assert.match(text, /depth 0 +40 rows\/s {2}4 tokens left\ndepth 1 +10 rows\/s {2}6 tokens left/);
  assert.match(text, /w1 {2}serving {2}KV 25 % {2}2 sequences {2}5\.0 rows\/step/);
});

test('a worker that contradicted is told apart', () => {
  const distrusted = { ...now, workers: now.workers.map((each) => ({ ...each, faults: 2 })) };
  assert.match(topFrame(distrusted, before, 200), /w1 {2}serving, 2 faults {2}KV/);
});

test('counts of a coordinator or worker that began anew are no rates', () => {
  assert.match(topFrame(before, { ...now, atMs: 500 }, 200), /^0 tokens\/s/m);
});

test('no line is wider than the terminal', () => {
  assert.ok(
    topFrame(now, before, 12)
      .split('\n')
      .every((line) => line.length <= 12),
  );
});
