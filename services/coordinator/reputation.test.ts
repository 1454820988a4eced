import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { Reputation } from './reputation.ts';

test('a worker is trusted until it contradicts, and then given nothing for a while', () => {
  const reputation = new Reputation();
  assert.equal(reputation.takes(0, 50), true);
  reputation.contradicted(0);
  assert.equal(reputation.takes(LIMITS.shunMs - 1, 0), false);
  assert.equal(reputation.shunnedMs(1000), LIMITS.shunMs - 1000);
});

test('after its pause it is tried with one sequence at a time, until one has ended well', () => {
  const reputation = new Reputation();
  reputation.contradicted(0);
  assert.equal(reputation.takes(LIMITS.shunMs, 0), true);
  assert.equal(reputation.takes(LIMITS.shunMs, 1), false);
  reputation.behaved(LIMITS.shunMs);
  assert.equal(reputation.takes(LIMITS.shunMs, 1), true);
});

test('each fault after a pause doubles the next one, up to a bound', () => {
  const reputation = new Reputation();
  let now = 0;
  const pauses: number[] = [];
  for (let fault = 0; fault < 8; fault++) {
    reputation.contradicted(now);
    pauses.push(reputation.shunnedMs(now));
    now += reputation.shunnedMs(now);
  }
  assert.deepEqual(pauses.slice(0, 3), [LIMITS.shunMs, 2 * LIMITS.shunMs, 4 * LIMITS.shunMs]);
  assert.equal(pauses.at(-1), LIMITS.shunMaxMs);
});

test('sequences from before its pause neither lengthen nor shorten it', () => {
  const reputation = new Reputation();
  reputation.contradicted(0);
  reputation.contradicted(1);
  reputation.behaved(2);
  assert.equal(reputation.faults, 1);
  assert.equal(reputation.shunnedMs(2), LIMITS.shunMs - 2);
});

test('it makes good for one fault at a time', () => {
  const reputation = new Reputation();
  reputation.contradicted(0);
  reputation.contradicted(LIMITS.shunMs);
  const later = 4 * LIMITS.shunMs;
  reputation.behaved(later);
  assert.equal(reputation.takes(later, 1), false);
  reputation.behaved(later);
  assert.equal(reputation.takes(later, 1), true);
});
