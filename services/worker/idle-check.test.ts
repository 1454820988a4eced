import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { IdleCheck } from './idle-check.ts';

function watched(context: TestContext) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const state = { idle: true, checks: 0 };
  const check = new IdleCheck(
    () => state.idle,
    () => state.checks++,
  );
  return { state, check, later: () => context.mock.timers.tick(1000) };
}

test('a worker that falls idle many times in a moment is looked at once, after it', (context) => {
  const { state, check, later } = watched(context);
  for (let time = 0; time < 10; time++) check.due();
  assert.equal(state.checks, 0);
  later();
  assert.equal(state.checks, 1);
  later();
  assert.equal(state.checks, 1);
  check.due();
  later();
  assert.equal(state.checks, 2);
});

test('a worker that has something to do by then is looked at when it is idle again', (context) => {
  const { state, check, later } = watched(context);
  check.due();
  state.idle = false;
  later();
  check.due();
  later();
  assert.equal(state.checks, 0);
  state.idle = true;
  check.due();
  later();
  assert.equal(state.checks, 1);
});

test('a worker that has ended is looked at no more', (context) => {
  const { state, check, later } = watched(context);
  check.due();
  check.end();
  later();
  assert.equal(state.checks, 0);
});
