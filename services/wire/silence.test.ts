import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { Silence } from './silence.ts';

function watched(context: TestContext) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  let silences = 0;
  const silence = new Silence(() => silences++);
  const turns = (count: number) => {
    for (let turn = 0; turn < count; turn++) context.mock.timers.tick(LIMITS.pulseMs);
  };
  return { silence, turns, silences: () => silences };
}

test('a peer is silent after so many turns without a word, and that is said once', (context) => {
  const { turns, silences } = watched(context);
  turns(LIMITS.silentTurns - 1);
  assert.equal(silences(), 0);
  turns(LIMITS.silentTurns * 3);
  assert.equal(silences(), 1);
});

test('a word in time makes good for all turns before it', (context) => {
  const { silence, turns, silences } = watched(context);
  for (let word = 0; word < 5; word++) {
    turns(LIMITS.silentTurns - 1);
    silence.heard();
  }
  assert.equal(silences(), 0);
  silence.end();
  turns(LIMITS.silentTurns * 2);
  assert.equal(silences(), 0);
});
