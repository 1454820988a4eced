import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, workerId } from '@rondo/core';
import { type Movement, stuck, type Wait } from './stuck-policy.ts';

const LONG = LIMITS.stillMs + 1;

const movement = (name: string, change: Partial<Movement['progress']> = {}, stepMs = 5): Movement => ({
  worker: workerId(name),
  progress: { steps: 0, stillMs: 0, runningMs: 0, ...change },
  stepMs,
});
const wait = (change: Partial<Wait>): Wait => ({
  ...{ ms: 0, homeSteps: 0, stepsMax: 1000, movements: [movement('home')] },
  ...change,
});

test('a worker that has much to do is waited for, however long', () => {
  assert.equal(stuck(wait({ ms: 100 * LONG, homeSteps: 999 })), undefined);
  // Its stage works on a long prompt, and the home has nothing to run meanwhile.
  const movements = [movement('home', { stillMs: LONG }), movement('stage')];
  assert.equal(stuck(wait({ ms: LONG, movements })), undefined);
});

test('an engine that hangs in a run is given up, at home and on a stage', () => {
  const hung = movement('hung', { runningMs: LONG });
  assert.equal(stuck(wait({ movements: [hung] }))?.worker, 'hung');
  assert.equal(stuck(wait({ movements: [movement('home'), undefined, hung] }))?.worker, 'hung');
  assert.equal(stuck(wait({ movements: [movement('home', { runningMs: LIMITS.stillMs })] })), undefined);
});

test('a worker whose runs always take long is given as much longer', () => {
  const slow = (runningMs: number) => wait({ movements: [movement('slow', { runningMs }, 1000)] });
  assert.equal(stuck(slow(LIMITS.stillSteps * 1000)), undefined);
  assert.equal(stuck(slow(LIMITS.stillSteps * 1000 + 1))?.worker, 'slow');
});

test('a route on which nothing runs while a sequence waits is given up', () => {
  const still = { stillMs: LONG };
  assert.equal(stuck(wait({ ms: LONG, movements: [movement('home', still)] }))?.worker, 'home');
  const both = [movement('home', still), movement('stage', still)];
  assert.equal(stuck(wait({ ms: LONG, movements: both }))?.worker, 'home');
  // It was idle for long before the sequence came.
  assert.equal(stuck(wait({ ms: LIMITS.stillMs, movements: both })), undefined);
  // Nobody knows what the stage does.
  assert.equal(stuck(wait({ ms: LONG, movements: [both[0], undefined] })), undefined);
});

test('a home that works on and on without the sequence is given up', () => {
  assert.equal(stuck(wait({ homeSteps: 1000 })), undefined);
  assert.equal(stuck(wait({ homeSteps: 1001 }))?.worker, 'home');
});
