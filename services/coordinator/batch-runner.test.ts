import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '@rondo/chassis';
import { RondoError } from '@rondo/core';
import type { Job } from '@rondo/wire';
import { BatchMetrics } from './batch-metrics.ts';
import type { BatchRecord } from './batch-record.ts';
import { BatchRunner, type BatchRunnerOptions } from './batch-runner.ts';
import { RefusalPause } from './refusal-pause.ts';

const LINES = 5;

test('a batch whose model has no workers holds up no other, and is not asked again before its pause is over', {
  timeout: 20_000,
}, async () => {
  const taken: string[] = [];
  const stored: string[] = [];
  const stop = new AbortController();
  const batches = ['old', 'young'].map(
    (id) => ({ id, endpoint: '/v1/completions' }) as unknown as BatchRecord,
  );
  const queues = new Map(batches.map(({ id }) => [id, Array.from({ length: LINES }, (_, key) => key)]));
  const take = async (id: string): Promise<Job | undefined> => {
    const key = queues.get(id)!.shift();
    if (key === undefined) return undefined;
    taken.push(id);
    const line = { custom_id: `${key}`, method: 'POST', url: '/v1/completions', body: { model: id } };
    return {
      key: String(key),
      deliveries: 1,
      data: Buffer.from(JSON.stringify(line)),
      keep: () => undefined,
      done: () => undefined,
      giveBack: async () => void queues.get(id)!.unshift(key),
    } as unknown as Job;
  };
  const put = async (id: string) => {
    stored.push(id);
    if (stored.length === LINES) stop.abort();
    return true;
  };
  const log = { warn: () => undefined } as unknown as BatchRunnerOptions['log'];
  const runner = new BatchRunner({
    stores: {
      queue: { take },
      results: { get: async () => undefined, put },
      silenceMs: 10_000,
    } as unknown as never,
    models: {
      serve: (body) => {
        // What a client did wrong is an answer, too.
        if ((body as { model: string }).model === 'young') throw new RondoError('MODEL_NOT_FOUND', 'none');
        return { model: { name: 'old', membership: { view: () => [] } } } as never;
      },
    },
    // None comes so far.
    requests: undefined as never,
    load: () => ({
      draining: false,
      interactiveWaiting: 0,
      interactive: 0,
      inFlightMax: 100,
      reservedShare: 0,
    }),
    running: () => batches,
    metrics: new BatchMetrics(new Metrics()),
    log,
    // Time stands still: no pause ever ends.
    clock: { now: () => 0 } as BatchRunnerOptions['clock'],
  });
  await runner.run(stop.signal);
  assert.deepEqual(
    stored,
    Array.from({ length: LINES }, () => 'young'),
  );
  assert.ok(taken.filter((id) => id === 'old').length < LINES);
  assert.equal(queues.get('old')!.length, LINES);
});

test('each refusal after a pause doubles the next, up to five seconds, until something was accepted', () => {
  const pause = new RefusalPause();
  let now = 0;
  const next = () => {
    pause.refused(now);
    const left = pause.leftMs(now);
    now += left;
    return left;
  };
  assert.deepEqual([next(), next(), next(), next(), next(), next()], [250, 500, 1000, 2000, 4000, 5000]);
  pause.accepted();
  assert.equal(next(), 250);
  pause.refused(now);
  pause.refused(now + 100);
  assert.equal(pause.leftMs(now + 100), 400);
});
