import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { type ErrorCode, ManualClock, RondoError } from '@rondo/core';
import type { Job } from '@rondo/wire';
import { BatchMetrics } from './batch-metrics.ts';
import type { BatchRecord } from './batch-record.ts';
import { BatchRunner, type BatchRunnerOptions } from './batch-runner.ts';
import { RefusalPause } from './refusal-pause.ts';

const LINES = 5;

/** Workers of one model, as far as a line gets with them. */
type Workers = () => readonly unknown[];

const failing = (code: ErrorCode) => () => {
  throw new RondoError(code, 'of this test');
};
/** What a client did wrong is an answer, too. */
const answering: Workers = failing('INVALID_REQUEST');

interface Batch {
  readonly id: string;
  readonly lines: string[];
  readonly workers: Workers;
}

/** A runner of `batches`, the oldest first, on a clock that stands still. */
function setUp(batches: readonly Batch[]) {
  const clock = new ManualClock();
  const stop = new AbortController();
  /** Ids of batches, in order. */
  const [taken, stored]: [string[], string[]] = [[], []];
  const hooks = {
    looked(): void {},
    stored(): void {},
    givenBack(): void {},
  };
  const batchOf = (id: string) => batches.find((batch) => batch.id === id)!;
  const take = async (id: string): Promise<Job | undefined> => {
    const { lines } = batchOf(id);
    const key = lines.shift();
    if (key === undefined) return undefined;
    taken.push(id);
    const line = { custom_id: key, method: 'POST', url: '/v1/completions', body: { model: id } };
    return {
      key,
      deliveries: 1,
      data: Buffer.from(JSON.stringify(line)),
      keep: () => undefined,
      done: () => undefined,
      giveBack: async () => {
        lines.unshift(key);
        hooks.givenBack();
      },
    };
  };
  const put = async (id: string) => {
    stored.push(id);
    hooks.stored();
    return true;
  };
  const runner = new BatchRunner({
    stores: {
      queue: { take },
      results: { get: async () => undefined, put },
      silenceMs: 10_000,
    } as unknown as BatchRunnerOptions['stores'],
    models: {
      serve: (body) => {
        const { workers } = batchOf((body as { model: string }).model);
        // Models are told apart by their workers here.
        const name = String(batches.findIndex((batch) => batch.workers === workers));
        return { model: { name, membership: { view: workers } } } as never;
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
    running: () => {
      hooks.looked();
      return batches.map(({ id }) => ({ id, endpoint: '/v1/completions' }) as unknown as BatchRecord);
    },
    metrics: new BatchMetrics(new Metrics()),
    log: createLog('test', { level: 'silent' }),
    clock,
  });
  return { runner, clock, stop, taken, stored, hooks };
}

const keys = (count: number): string[] => Array.from({ length: count }, (_, key) => String(key));

const REFUSING: Record<string, Workers> = {
  'has no workers': () => [],
  'is full': failing('OVERLOADED'),
  'has no memory': failing('KV_EXHAUSTED'),
};

for (const [what, workers] of Object.entries(REFUSING)) {
  test(`a batch whose model ${what} holds up no other, and is not asked again before its pause is over`, {
    timeout: 20_000,
  }, async () => {
    const old = { id: 'old', lines: keys(LINES), workers };
    const young = { id: 'young', lines: keys(LINES), workers: answering };
    const { runner, stop, taken, stored, hooks } = setUp([old, young]);
    hooks.stored = () => {
      if (stored.length === LINES) stop.abort();
    };
    await runner.run(stop.signal);
    assert.deepEqual(stored, Array(LINES).fill('young'));
    assert.ok(taken.filter((id) => id === 'old').length < LINES);
    assert.equal(old.lines.length, LINES);
  });
}

test('batches of a model that is full wait together, and then the oldest goes first', {
  timeout: 20_000,
}, async () => {
  let full = false;
  const workers: Workers = () => (full ? failing('OVERLOADED') : answering)();
  const old: Batch = { id: 'old', lines: [], workers };
  const young: Batch = { id: 'young', lines: ['0'], workers };
  const { runner, clock, stop, taken, stored, hooks } = setUp([old, young]);
  hooks.stored = () => {
    if (stored.length === 3) stop.abort();
    if (stored.length > 1) return;
    full = true;
    old.lines.push('0');
  };
  hooks.givenBack = () => {
    young.lines.push('1');
    let looks = 0;
    hooks.looked = () => {
      // None is taken while time stands still, however often the runner looks.
      if (++looks !== 3) return;
      full = false;
      clock.advance(250);
    };
  };
  await runner.run(stop.signal);
  assert.deepEqual(taken, ['young', 'old', 'old', 'young']);
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
