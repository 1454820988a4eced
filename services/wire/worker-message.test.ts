import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address } from '@rondo/core';
import { messageTypes } from './proto.ts';
import { mismatch, roundTrip } from './test-codec.ts';
import { description, progress, work } from './test-samples.ts';
import { describeResponse, watchResponse } from './worker-message.ts';

test('a worker description survives the wire, with and without an advertised address', () => {
  roundTrip(describeResponse, description);
  const { advertisedAddress: _, ...plain } = description;
  roundTrip(describeResponse, plain);
});

test('a pulse survives the wire, and one without a state is refused', () => {
  const { load } = description;
  roundTrip(watchResponse, { state: 'serving', load, progress, work });
  roundTrip(watchResponse, { state: 'serving', load, progress, work, clockMs: 1_764_258_000_123.5 });
  roundTrip(watchResponse, { state: 'draining', load, progress: { ...progress, runningMs: 0 }, work });
  const stateless = messageTypes.watchResponse.encode({ state: 0, load, progress, clockMs: 0 });
  assert.throws(() => watchResponse.decode(stateless), mismatch(/WorkerState: it is unspecified/));
  const still = messageTypes.watchResponse.encode({ state: 1, load, clockMs: 0 });
  assert.throws(() => watchResponse.decode(still), mismatch(/progress is missing/));
});

test('an advertised address that nobody can be reached at is refused', () => {
  const bytes = describeResponse.encode({ ...description, advertisedAddress: address('worker-1') });
  assert.throws(() => describeResponse.decode(bytes), mismatch(/advertised_address is 'worker-1'/));
});

test('bytes that are no description are refused by name', () => {
  assert.throws(() => describeResponse.decode(Buffer.alloc(0)), mismatch(/DescribeResponse: worker_id/));
});
