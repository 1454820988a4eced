import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import fc from 'fast-check';
import { type BatchRoomView, batchRoom, lineCourse } from './batch-policy.ts';

const idle: BatchRoomView = {
  draining: false,
  interactiveWaiting: 0,
  interactive: 0,
  inFlightMax: 256,
  lines: 0,
  lone: false,
  reservedShare: 0,
  pausedForMs: 0,
};

const views = fc.record<BatchRoomView>({
  draining: fc.boolean(),
  interactiveWaiting: fc.nat(4),
  interactive: fc.nat(300),
  inFlightMax: fc.constant(256),
  lines: fc.nat(100),
  lone: fc.boolean(),
  reservedShare: fc.double({ min: 0, max: 1, noNaN: true }),
  pausedForMs: fc.nat(2),
});

test('an idle coordinator runs as many lines as it may', () => {
  let lines = 0;
  while (batchRoom({ ...idle, lines }) === 'start') lines++;
  assert.equal(lines, LIMITS.batchLinesInFlightMax);
});

test('no line starts while anybody interactive waits, or at a coordinator that goes away', () => {
  fc.assert(
    fc.property(views, (view) => {
      if (batchRoom(view) !== 'start') return;
      assert.deepEqual([view.draining, view.interactiveWaiting, view.pausedForMs], [false, 0, 0]);
      assert.equal(view.lone, false, 'beside a line that is to be alone');
    }),
  );
});

test('more interactive requests never make room for a line', () => {
  fc.assert(
    fc.property(views, fc.nat(50), (view, more) => {
      const busier = { ...view, interactive: view.interactive + more };
      if (batchRoom(busier) === 'start') assert.equal(batchRoom(view), 'start');
    }),
  );
});

test('lines alone leave a share of the memory and of the places', () => {
  assert.equal(batchRoom({ ...idle, lines: 1, reservedShare: LIMITS.batchMemoryShare }), 'memory-full');
  assert.equal(batchRoom({ ...idle, interactive: 256 * LIMITS.batchInFlightShare }), 'interactive-full');
  assert.equal(batchRoom({ ...idle, reservedShare: 1 }), 'start', 'a worker decides about the first');
});

test('a line that is lost again and again runs beside others twice, alone twice, and then no more', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(lineCourse), [
    'run',
    'run',
    'run-alone',
    'run-alone',
    'give-up',
    'give-up',
  ]);
});
