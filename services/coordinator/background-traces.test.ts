import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Telemetry, traceparentOf } from '@rondo/chassis';
import { ManualClock, RondoError } from '@rondo/core';
import { type BackgroundFacts, BackgroundTraces } from './background-traces.ts';
import type { BatchRecord } from './batch-record.ts';
import type { RequestFacts, RequestTimeline } from './request-timeline.ts';
import { OPEN, request } from './test-generation.ts';
import { keepingTelemetry } from './test-telemetry.ts';

const CREATED = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), sampled: true };
const BATCH = { id: 'batch_1', traceparent: traceparentOf(CREATED) } as BatchRecord;
const FACTS: BackgroundFacts = {
  ...{ id: 'r', owner: undefined, asked: 'm', model: 'm', promptTokens: 3, stream: false },
  operation: 'chat',
};
const tracesOf = (telemetry: Telemetry) => new BackgroundTraces(telemetry, new ManualClock());
const ran = (timeline: RequestTimeline | undefined): void => {
  timeline!.follow(request).timeline!.opened(OPEN, 0);
  timeline!.end();
};
const asked = (sampled: boolean): RequestFacts => ({
  ...FACTS,
  context: { ...CREATED, sampled },
  detailed: true,
});

test('a line of a batch is a trace of its own, linked to the call that made the batch', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  ran(tracesOf(telemetry).line(BATCH, 'mine', FACTS));
  const [root, ...others] = await spans();
  assert.equal(root!.name, 'batch_line m');
  assert.equal(root!.parentSpanContext, undefined);
  assert.notEqual(root!.spanContext().traceId, CREATED.traceId);
  assert.deepEqual(
    root!.links.map(({ context: { traceId, spanId } }) => ({ traceId, spanId })),
    [{ traceId: CREATED.traceId, spanId: CREATED.spanId }],
  );
  assert.equal(root!.attributes['rondo.batch_id'], 'batch_1');
  assert.equal(root!.attributes['rondo.custom_id'], 'mine');
  assert.deepEqual(
    others.map(({ name }) => name),
    ['queue', 'place'],
  );
});

test('a line that is not sampled is not followed, however long it takes', () => {
  const { telemetry } = keepingTelemetry({ sample: 0, slowerThanMs: 0 });
  assert.equal(tracesOf(telemetry).line(BATCH, 'mine', FACTS), undefined);
});

test('a try that no worker took is not exported', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const timeline = tracesOf(telemetry).line(BATCH, 'mine', FACTS)!;
  timeline.follow(request);
  timeline.end(new RondoError('KV_EXHAUSTED', 'full'));
  assert.deepEqual(await spans(), []);
});

test('a line that is cut off says that its coordinator stopped, not that a client left', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const timeline = tracesOf(telemetry).line(BATCH, 'mine', FACTS)!;
  timeline.follow(request).timeline!.opened(OPEN, 0);
  timeline.end(new RondoError('CANCELLED', 'stopped'));
  const [root] = await spans();
  assert.deepEqual(
    root!.events.map(({ name, attributes }) => [name, attributes?.['rondo.cause']]),
    [['cancelled', 'coordinator-stops']],
  );
});

test('a shadow is traced when the request that it repeats is, whatever share of requests that may be', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 0 });
  const traces = tracesOf(telemetry);
  assert.equal(traces.shadow(asked(false), FACTS), undefined);
  ran(traces.shadow(asked(true), { ...FACTS, model: 'other' }));
  const [root] = await spans();
  assert.equal(root!.name, 'shadow m');
  assert.equal(root!.links[0]!.context.spanId, CREATED.spanId);
  assert.equal(root!.attributes['rondo.shadow_of'], 'r');
  assert.equal(root!.attributes['gen_ai.response.model'], 'other');
});
