import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, RondoError, workerId } from '@rondo/core';
import { causeOf, goesOn, type Loss } from './loss.ts';

const loss = (worker: string, code: RondoError['code'] = 'WORKER_LOST'): Loss => ({
  worker: workerId(worker),
  error: new RondoError(code, 'test'),
});

test('a sequence goes on after losses, but not for ever without a token', () => {
  const losses: Loss[] = [];
  for (let count = 1; count < LIMITS.lossesMax; count++) {
    losses.push(loss('a'));
    assert.equal(goesOn(losses), true);
  }
  losses.push(loss('b'));
  assert.equal(goesOn(losses), false);
});

test('a worker that has failed it twice and still lives is not made to fail a third time', () => {
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED')]), true);
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED'), loss('b', 'ENGINE_FAILED')]), true);
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED'), loss('a', 'ENGINE_FAILED')]), false);
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED'), loss('a'), loss('a', 'INTERNAL')]), false);
});

test('every loss has a cause for the metric', () => {
  const causes = (
    ['WORKER_LOST', 'CANCELLED', 'PROTOCOL_MISMATCH', 'ENGINE_FAILED', 'INTERNAL'] as const
  ).map((code) => causeOf(new RondoError(code, 'test')));
  assert.deepEqual(causes, ['lost', 'lost', 'malformed', 'engine', 'other']);
});
