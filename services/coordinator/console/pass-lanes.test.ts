import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PassRun } from '../request-detail.ts';
import { lanesOf, passAfterKey, slowestToken, tellPass, timesOf } from './pass-lanes.ts';

const pass = (over: Partial<PassRun>): PassRun => ({
  ...{ token: 1, position: 4, rows: 1, depth: 0, worker: 'w1', step: 9, step_rows: 1, step_depths: [0] },
  ...{ start_ms: 0, wait_ms: 1, run_ms: 2, hop_ms: null, signal: null, exited: false },
  ...over,
});

/** A prompt's rows, then two tokens of which the second waits long, split over two workers. */
const PROMPT = pass({ token: null, rows: 4, step_rows: 4, position: 0 });
const DEEP = pass({ token: null, rows: 4, position: 0, depth: 1, worker: 'w2', start_ms: 3 });
const FIRST = pass({ start_ms: 10, hop_ms: 0.5 });
const THEN = pass({ start_ms: 14, depth: 1, worker: 'w2', exited: true });
const SLOW = pass({ token: 2, start_ms: 20, wait_ms: 30 });
const RUN = [THEN, SLOW, PROMPT, FIRST, DEEP];
const ordered = lanesOf({ passes_run: RUN });

test('lanes are workers in the order they ran, each with its depths, and passes are in order of time', () => {
  assert.deepEqual(ordered.passes, [PROMPT, DEEP, FIRST, THEN, SLOW]);
  assert.deepEqual(ordered.lanes, [
    { worker: 'w1', depth: 0, passes: [PROMPT, FIRST, SLOW] },
    { worker: 'w2', depth: 1, passes: [DEEP, THEN] },
  ]);
});

test('the slowest token is named with the pass of it that cost most, and a prompt is no token', () => {
  assert.deepEqual(slowestToken(RUN), { token: 2, ms: 32, pass: SLOW });
  assert.equal(slowestToken([PROMPT, DEEP]), undefined);
});

test('waiting, running and hops add up', () => {
  assert.deepEqual(timesOf(RUN), { waited: 34, ran: 10, hopped: 0.5 });
});

test('keys walk through time and between lanes, and stop at the ends', () => {
  const after = (key: string, from: PassRun) => passAfterKey(key, from, ordered);
  assert.equal(after('ArrowRight', PROMPT), DEEP);
  assert.equal(after('ArrowLeft', PROMPT), PROMPT);
  assert.equal(after('ArrowDown', FIRST), THEN);
  assert.equal(after('ArrowDown', THEN), THEN);
  assert.equal(after('ArrowUp', DEEP), PROMPT);
  assert.equal(after('End', PROMPT), SLOW);
  assert.equal(after('Home', SLOW), PROMPT);
  assert.equal(after('x', SLOW), undefined);
});

test('a pass is told with what it waited for, ran beside and left by', () => {
  const told = pass({ step_rows: 3, step_depths: [1, 0], hop_ms: 0.5, signal: 0.25, exited: true });
  assert.equal(
    tellPass(told),
    'token 1, depth 0 on w1: waited 1.00 ms, ran 2.00 ms in step 9 beside 2 other rows, depths 0, 1; hop 0.50 ms; exit signal 0.250; left the loop here',
  );
  assert.match(tellPass(PROMPT), /^4 prompt rows from position 0, depth 0 on w1: .* in step 9 alone$/);
});
