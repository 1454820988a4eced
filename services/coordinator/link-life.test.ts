import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@rondo/core';
import { LinkLife } from './link-life.ts';

test('a worker is joining until it is heard, then what it says, and lost when its pulses break off', () => {
  const life = new LinkLife(new ManualClock());
  const seen = [life.state];
  const say = (act: () => void) => {
    act();
    seen.push(life.state);
  };
  say(() => life.failed());
  say(() => life.pulsed('serving'));
  say(() => life.pulsed('draining'));
  say(() => life.failed());
  say(() => life.failed());
  say(() => life.pulsed('serving'));
  assert.deepEqual(seen, ['joining', 'joining', 'serving', 'draining', 'lost', 'lost', 'serving']);
});

test('nothing new goes to a worker that drains, is lost, or is suspected and has not pulsed since', () => {
  const life = new LinkLife(new ManualClock());
  assert.equal(life.open, false);
  life.pulsed('serving');
  assert.equal(life.open, true);
  life.suspect();
  assert.equal(life.open, false);
  assert.equal(life.state, 'serving');
  life.pulsed('serving');
  assert.equal(life.open, true);
  life.pulsed('draining');
  assert.equal(life.open, false);
  life.pulsed('serving');
  life.failed();
  assert.equal(life.open, false);
});

test('a lost worker is looked for at once, then ever more slowly, and eagerly again after a steady time', () => {
  const clock = new ManualClock();
  const life = new LinkLife(clock);
  const waits = Array.from({ length: 7 }, () => {
    life.failed();
    return life.retryMs;
  });
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
  life.pulsed('serving');
  clock.advance(9_999);
  life.failed();
  assert.equal(life.retryMs, 2000, 'one that falls over as soon as it stands is no steady worker');
  life.pulsed('serving');
  clock.advance(10_000);
  life.pulsed('serving');
  life.failed();
  assert.equal(life.retryMs, 100);
});
