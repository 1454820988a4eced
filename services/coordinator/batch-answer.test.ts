import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { address, ManualClock } from '@rondo/core';
import { BackgroundRequests } from './background-requests.ts';
import { answerLine } from './batch-answer.ts';
import type { BatchLine } from './batch-lines.ts';
import type { BatchRecord } from './batch-record.ts';
import { GivenWorkers } from './given-workers.ts';
import { Model } from './model.ts';
import { Models } from './models.ts';
import { tinyBundle } from './test-bundle.ts';
import { keepingTelemetry } from './test-telemetry.ts';
import { connectTo, ScriptedWorker } from './test-worker.ts';

const BATCH = {
  id: 'batch_1',
  endpoint: '/v1/completions',
  traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-00`,
} as BatchRecord;
const log = createLog('test', { level: 'silent' });

/** Answers one line of a batch on `workers`, which hold a bundle without layers outside the loop. */
async function lineOn(context: TestContext, workers: Record<string, ScriptedWorker>) {
  const bundle = await tinyBundle({ layers: { prelude: 0, block: 3, coda: 0 } });
  const model = await Model.open({
    name: 'tiny',
    bundle,
    placement: 'auto',
    requestsInFlight: 8,
    log,
    metrics: new Metrics(),
    connect: connectTo(workers),
  });
  const models = new Models([model]);
  context.after(() => models.close());
  const addresses = Object.keys(workers).map(address);
  model.membership.follow(new GivenWorkers(addresses, [bundle.digest]).of(bundle.digest));
  await model.membership.joined(addresses, 10_000);
  const { telemetry } = keepingTelemetry({ sample: 0 });
  const requests = new BackgroundRequests({ telemetry, log, clock: new ManualClock() });
  const never = new AbortController().signal;
  return (body: BatchLine['body']) =>
    answerLine({ models, requests }, BATCH, { customId: 'mine', body }, never, () => {});
}

test('a line that must be whole and fits no worker fails for good: tried again it would never be answered', {
  timeout: 20_000,
}, async (context) => {
  const line = await lineOn(context, {
    'a:1': new ScriptedWorker({ id: 'a', positions: 60 }),
    'b:1': new ScriptedWorker({ id: 'b', positions: 60 }),
  });
  const ask = { model: 'tiny', prompt: Array(10).fill(1) };
  const outcome = await line({ ...ask, max_depth: 1, max_tokens: 80 });
  assert.ok(outcome.kind === 'failed', JSON.stringify(outcome));
  assert.equal(outcome.result.statusCode, 400);
  assert.match(JSON.stringify(outcome.result.body), /context_length_exceeded/);
  assert.equal((await line({ ...ask, placement: 'homed', max_tokens: 50 })).kind, 'completed');
});
