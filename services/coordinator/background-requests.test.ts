import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, type Telemetry, traceparentOf } from '@rondo/chassis';
import { ManualClock, RondoError } from '@rondo/core';
import { type BackgroundFacts, BackgroundRequests } from './background-requests.ts';
import type { BatchRecord } from './batch-record.ts';
import type { ChoiceEnd } from './choice.ts';
import type { RequestFacts, RequestTimeline } from './request-timeline.ts';
import { OPEN, request } from './test-generation.ts';
import { keepingTelemetry } from './test-telemetry.ts';

const CREATED = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), sampled: true };
const END: ChoiceEnd = {
  reason: 'length',
  tokens: 4,
  cachedTokens: 0,
  promptPasses: 12,
  generatedPasses: 12,
};
const BATCH = { id: 'batch_1', traceparent: traceparentOf(CREATED) } as BatchRecord;
const FACTS: BackgroundFacts = {
  ...{ id: 'r', owner: undefined, asked: 'm', model: 'm', promptTokens: 3, stream: false },
  operation: 'chat',
};
const NEVER = (): string => assert.fail('it was not cancelled');
const requestsOf = (telemetry: Telemetry, lines: string[] = []) => {
  const log = createLog('test', { level: 'info', to: { write: (line) => void lines.push(line) } });
  return new BackgroundRequests({ telemetry, log, clock: new ManualClock() });
};
const ran = (timeline: RequestTimeline): void => {
  timeline.follow(request).timeline!.opened(OPEN, 0);
  timeline.hear(0, { text: '', tokens: [], promptTokens: [], end: END });
  timeline.end();
};
const asked = (sampled: boolean): RequestFacts => ({
  ...FACTS,
  context: { ...CREATED, sampled },
  detailed: true,
});

test('a line of a batch is a trace of its own, linked to the call that made the batch', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  ran(requestsOf(telemetry).line(BATCH, 'mine', FACTS));
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

test('a line that is not sampled leaves no trace, however long it takes', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 0, slowerThanMs: 0 });
  const timeline = requestsOf(telemetry).line(BATCH, 'mine', FACTS);
  assert.equal(timeline.facts.detailed, false);
  ran(timeline);
  assert.deepEqual(await spans(), []);
});

test('a line leaves one line in the log at its end, with the ids of its batch', () => {
  const { telemetry } = keepingTelemetry({ sample: 0 });
  const lines: string[] = [];
  const timeline = requestsOf(telemetry, lines).line(BATCH, 'mine', FACTS);
  ran(timeline);
  const [line, ...others] = lines.map((each) => JSON.parse(each));
  assert.deepEqual(others, []);
  const { msg, requestId, traceId, batch, customId, state, finishReason, workers } = line;
  assert.deepEqual(
    [msg, requestId, traceId, batch, customId, state, finishReason, workers],
    ['batch_line', 'r', timeline.facts.context.traceId, 'batch_1', 'mine', 'finished', 'length', ['w']],
  );
  for (const time of ['queueMs', 'totalMs']) assert.equal(typeof line[time], 'number', time);
});

test('a line that fails for good leaves its line without a worker; one that is tried again leaves none', () => {
  const { telemetry } = keepingTelemetry({ sample: 0 });
  const lines: string[] = [];
  const requests = requestsOf(telemetry, lines);
  for (const code of ['KV_EXHAUSTED', 'CANCELLED', 'CONTEXT_LENGTH_EXCEEDED'] as const) {
    const timeline = requests.line(BATCH, code, FACTS);
    timeline.follow(request);
    timeline.end(new RondoError(code, 'told'));
  }
  assert.deepEqual(
    lines.map((each) => JSON.parse(each)).map(({ customId, state, code }) => [customId, state, code]),
    [['CONTEXT_LENGTH_EXCEEDED', 'failed', 'CONTEXT_LENGTH_EXCEEDED']],
  );
});

test('a try that no worker took is not exported', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const timeline = requestsOf(telemetry).line(BATCH, 'mine', FACTS);
  timeline.follow(request);
  timeline.end(new RondoError('KV_EXHAUSTED', 'full'));
  assert.deepEqual(await spans(), []);
});

test('a line that is cut off says that its coordinator stopped, not that a client left', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const timeline = requestsOf(telemetry).line(BATCH, 'mine', FACTS);
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
  const requests = requestsOf(telemetry);
  ran(requests.shadow(asked(false), FACTS, NEVER));
  ran(requests.shadow(asked(true), { ...FACTS, model: 'other' }, NEVER));
  const roots = (await spans()).filter(({ parentSpanContext }) => parentSpanContext === undefined);
  assert.equal(roots.length, 1);
  const [root] = roots;
  assert.equal(root!.name, 'shadow m');
  assert.equal(root!.links[0]!.context.spanId, CREATED.spanId);
  assert.equal(root!.attributes['rondo.shadow_of'], 'r');
  assert.equal(root!.attributes['gen_ai.response.model'], 'other');
});
