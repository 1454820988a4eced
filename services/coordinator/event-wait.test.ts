import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, LIMITS, ManualClock, type Route, workerId } from '@rondo/core';
import { EventWait } from './event-wait.ts';
import type { Movement } from './stuck-policy.ts';

const worker = (name: string) => ({ id: workerId(name), address: address(`${name}:1`) });
const route: Route = {
  epoch: 1,
  home: worker('home'),
  stages: [
    { worker: worker('home'), depths: { first: 0, end: 2 } },
    { worker: worker('stage'), depths: { first: 2, end: 4 } },
  ],
};
const pulse = (name: string, change: Partial<Movement['progress']> = {}): Movement => ({
  worker: workerId(name),
  progress: { steps: 0, stillMs: 0, runningMs: 0, ...change },
  stepMs: 5,
});
const HUNG = { runningMs: LIMITS.stillMs + 1 };

function begun(): { clock: ManualClock; wait: EventWait } {
  const clock = new ManualClock();
  const wait = new EventWait(clock);
  wait.opened(route, 10);
  assert.equal(wait.moved(pulse('stage', HUNG)), undefined, 'it does not wait yet');
  wait.begin(10);
  return { clock, wait };
}

test('pulses of workers that are not on the route, or come while nothing is waited for, say nothing', () => {
  const { wait } = begun();
  assert.equal(wait.moved(pulse('other', HUNG)), undefined);
  wait.end();
  assert.equal(wait.moved(pulse('stage', HUNG)), undefined);
  wait.begin(10);
  assert.equal(wait.moved(pulse('stage', HUNG))?.worker, 'stage');
});

test('a route that stands still is judged by how long this event was waited for', () => {
  const { clock, wait } = begun();
  const still = { stillMs: 100 * LIMITS.stillMs };
  assert.equal(wait.moved(pulse('home', still)), undefined);
  clock.advance(LIMITS.stillMs + 1);
  assert.equal(wait.moved(pulse('home', still)), undefined, 'nothing is known of the stage');
  assert.equal(wait.moved(pulse('stage', still))?.worker, 'home');
  wait.begin(10);
  assert.equal(wait.moved(pulse('home', still)), undefined);
});

test('runs of the home are counted from its first pulse in the wait, past the end of the counter', () => {
  const { wait } = begun();
  assert.equal(wait.moved(pulse('stage', { steps: 7 })), undefined);
  assert.equal(wait.moved(pulse('home', { steps: 2 ** 32 - 5 })), undefined);
  assert.equal(wait.moved(pulse('home', { steps: 5 })), undefined);
  assert.equal(wait.moved(pulse('home', { steps: 6 }))?.worker, 'home');
});

test('a sequence that moves in the middle of a wait waits anew, and only for its new workers', () => {
  const { clock, wait } = begun();
  const still = { stillMs: 100 * LIMITS.stillMs };
  clock.advance(LIMITS.stillMs + 1);
  wait.moved(pulse('home', still));
  wait.opened({ ...route, stages: [{ worker: worker('home'), depths: { first: 0, end: 4 } }] }, 10);
  assert.equal(wait.moved(pulse('stage', HUNG)), undefined);
  assert.equal(wait.moved(pulse('home', still)), undefined);
  clock.advance(LIMITS.stillMs + 1);
  assert.equal(wait.moved(pulse('home', still))?.worker, 'home');
});
