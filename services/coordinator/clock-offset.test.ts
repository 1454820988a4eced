import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClockOffset } from './clock-offset.ts';

test('the quickest word tells how far a clock is behind', () => {
  const offset = new ClockOffset();
  assert.equal(offset.ms, 0);
  offset.heard(1000, 1105);
  offset.heard(2000, 2100.5);
  offset.heard(3000, 3140);
  assert.equal(offset.ms, 100.5);
});

test('a clock that may be right is believed', () => {
  const offset = new ClockOffset();
  offset.heard(1000, 1049);
  assert.equal(offset.ms, 0);
  offset.heard(2000, 1999.5);
  assert.equal(offset.ms, -0.5);
});

test('a clock that drifts away is followed, and one that is ahead counts negative', () => {
  const offset = new ClockOffset();
  offset.heard(0, -50);
  for (let ms = 0; ms <= 200_000; ms += 10_000) offset.heard(ms, ms + 70);
  assert.equal(offset.ms, 70);
});
