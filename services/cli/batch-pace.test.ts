import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchPace } from './batch-pace.ts';

test('the rate and the time left are those of the last minute', () => {
  const pace = new BatchPace();
  assert.equal(pace.words(100), '');
  for (let s = 0; s <= 60; s++) pace.note({ atMs: s * 1000, done: s });
  assert.equal(pace.words(30), ', 1.0 lines/s, 30 s left');
  for (let s = 61; s <= 130; s++) pace.note({ atMs: s * 1000, done: 60 + (s - 60) * 10 });
  assert.equal(pace.words(6000), ', 10.0 lines/s, 10 min left');
  assert.equal(pace.words(360_000), ', 10.0 lines/s, 10.0 h left');
});

test('nothing is said of a batch that stands still', () => {
  const pace = new BatchPace();
  for (let s = 0; s < 5; s++) pace.note({ atMs: s * 1000, done: 3 });
  assert.equal(pace.words(7), '');
});
