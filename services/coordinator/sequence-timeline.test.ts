import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workerId } from '@rondo/core';
import { SequenceTimeline } from './sequence-timeline.ts';

const [A, B] = [workerId('a'), workerId('b')];

/** A timeline in which nobody has an interest, and how much room it took. */
function undetailed() {
  let taken = 0;
  const room = (count: number) => {
    taken += count;
    return count;
  };
  const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: false };
  const timeline = new SequenceTimeline(3, { now: () => 0, startedMs: 0, room, detailed: false, context });
  return { timeline, taken: () => taken };
}

test('tokens of a sequence that nobody looks at take no room, and its workers are asked for nothing', () => {
  const { timeline, taken } = undetailed();
  for (let token = 0; token < 1000; token++) timeline.token();
  assert.deepEqual([taken(), timeline.tokenMs.length, timeline.truncated], [0, 0, false]);
  assert.deepEqual(timeline.asks, {});
});

test('a sequence that waits in line is told of once for each worker and reason, in every search', () => {
  const { timeline, taken } = undetailed();
  const refuse = () => {
    for (let time = 0; time < 100; time++) {
      timeline.refused(A, 'OVERLOADED');
      timeline.refused(B, 'OVERLOADED');
      timeline.refused(B, 'KV_EXHAUSTED');
    }
  };
  refuse();
  assert.equal(taken(), 3);
  timeline.leaves('recovery', {});
  refuse();
  assert.deepEqual(
    timeline.events.map(({ name }) => name),
    [...Array(3).fill('refused'), 'recovery', ...Array(3).fill('refused')],
  );
});
