import assert from 'node:assert/strict';
import { test } from 'node:test';
import { windowSeconds } from './batches.ts';

test('a completion window is seconds, minutes, hours or days up to a week', () => {
  assert.deepEqual(['5s', '1m', '24h', '7d'].map(windowSeconds), [5, 60, 86_400, 604_800]);
  for (const text of ['', '24', '0h', '8d', '1.5h', '-1h', '24 h', '999999d']) {
    assert.throws(() => windowSeconds(text), /completion_window/, text);
  }
});
