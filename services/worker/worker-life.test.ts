import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { WorkerLife } from './worker-life.ts';

test('the first failure is the one that counts', async () => {
  const life = new WorkerLife();
  const [first, second] = ['first', 'second'].map((message) => new RondoError('INTERNAL', message));
  assert.deepEqual([life.breakDown(first!), life.breakDown(second!)], [true, false]);
  assert.equal(life.failure, first);
  assert.equal(await life.broken, first);
});

test('a worker that drains is awaited until its last sequence has left, and not for ever', async () => {
  const [leaving, staying] = [new WorkerLife(), new WorkerLife()];
  // One that serves may be empty at any time.
  leaving.emptied();
  for (const life of [leaving, staying]) life.drain();
  const left = leaving.untilEmpty(2 ** 30);
  leaving.emptied();
  await left;
  await staying.untilEmpty(1);
  assert.ok(leaving.draining && staying.draining);
});
