import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { LIMITS, ManualClock, RondoError } from '@rondo/core';
import { encodeResult } from './batch-answer.ts';
import { BatchKeeper } from './batch-keeper.ts';
import { BatchMetrics } from './batch-metrics.ts';
import { cancelling, newBatch, sealed, started } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';
import { memoryStores } from './test-batch-stores.ts';

const NOW = 1_000;
const made = newBatch(
  {
    ...{ id: 'batch_1', endpoint: '/v1/completions', inputFileId: 'file-1', completionWindow: '1m' },
    ...{ metadata: null, windowS: 60, keeperId: 'a' },
  },
  NOW,
);

/** A coordinator's keeper, with metrics of its own. */
function keeperOf(id: string, stores: BatchStores, clock = new ManualClock()) {
  const metrics = new Metrics();
  const keeper = new BatchKeeper({
    ...{ id, stores, metrics: new BatchMetrics(metrics), clock, now: () => NOW },
    log: createLog('test', { level: 'silent' }),
  });
  return { keeper, metrics };
}

test('the last line of a cancelled batch counts, however late its taker is done with it', {
  timeout: 20_000,
}, async () => {
  const { contents, open, ended, queue, results, shared } = memoryStores();
  const { id, inputFileId } = made;
  const line = { custom_id: 'last', method: 'POST', url: '/v1/completions', body: {} };
  await contents.put(inputFileId, [Buffer.from(JSON.stringify(line))]);
  await open.put(id, cancelling(started(made, 1, NOW), NOW));
  queue.taken = async () => {
    const result = { customId: 'last', requestId: 'r', statusCode: 200, body: {} };
    await results.put(id, '0', 'completed', encodeResult(result));
    return 0;
  };
  const stop = new AbortController();
  open.delete = async () => stop.abort();
  await keeperOf('a', shared).keeper.run(stop.signal);
  const { status, tally } = (await ended.get(id))!.value;
  assert.equal(status, 'cancelled');
  assert.deepEqual(tally, { seq: 1, completed: 1, failed: 0 });
});

test('a batch that two coordinators put away at the same time has ended once', {
  timeout: 20_000,
}, async () => {
  const { open, queue, shared } = memoryStores();
  // Its input is gone, which is its end.
  await open.put(made.id, made);
  const stop = new AbortController();
  const [one, other] = [keeperOf('a', shared), keeperOf('b', shared)];
  const both = Promise.withResolvers<void>();
  const runs: Promise<void>[] = [];
  let [drops, deletions] = [0, 0];
  queue.dropGroup = async () => {
    drops++;
    if (drops === 1) runs.push(other.keeper.run(stop.signal));
    else both.resolve();
    await both.promise;
  };
  open.delete = async () => {
    deletions++;
    if (deletions === 2) stop.abort();
  };
  runs.push(one.keeper.run(stop.signal));
  await once(stop.signal, 'abort');
  await Promise.all(runs);
  const pages = await Promise.all([one, other].map(({ metrics }) => metrics.render()));
  assert.deepEqual(
    pages.flatMap((page) => page.match(/^rondo_batch_ended_total\{.*$/gm) ?? []),
    ['rondo_batch_ended_total{status="failed"} 1'],
  );
});

test('the output of a batch that ended while its look was on its way is not written again', {
  timeout: 20_000,
}, async () => {
  const { contents, open, ended, results, shared } = memoryStores();
  const { id, inputFileId } = made;
  const line = { custom_id: 'x', method: 'POST', url: '/v1/completions', body: {} };
  await contents.put(inputFileId, [Buffer.from(JSON.stringify(line))]);
  const result = { customId: 'x', requestId: 'r', statusCode: 200, body: {} };
  await results.put(id, '0', 'completed', encodeResult(result));
  await open.put(
    id,
    sealed(started(made, 1, NOW), 'completed', { seq: 1, completed: 1, failed: 0 }, 'a', NOW),
  );
  const stop = new AbortController();
  const { keeper } = keeperOf('a', shared);
  const [listed, away] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let [looks, writes] = [0, 0];
  const list = open.list.bind(open);
  open.list = async () => {
    const stale = await list();
    looks++;
    keeper.look();
    if (looks === 2) {
      listed.resolve();
      await away.promise;
    }
    if (looks === 3) stop.abort();
    return stale;
  };
  const get = contents.get.bind(contents);
  contents.get = async (name) => {
    writes++;
    await listed.promise;
    return get(name);
  };
  const remove = open.delete.bind(open);
  open.delete = async (key) => {
    await remove(key);
    setImmediate(away.resolve);
  };
  await keeper.run(stop.signal);
  assert.equal(writes, 1);
  assert.equal((await ended.get(id))!.value.status, 'completed');
});

test('a duty that fails is done again after a pause, however often its batch is looked at', {
  timeout: 20_000,
}, async () => {
  const { contents, open, shared } = memoryStores();
  await open.put(made.id, made);
  const clock = new ManualClock();
  const { keeper } = keeperOf('a', shared, clock);
  const stop = new AbortController();
  const list = open.list.bind(open);
  let [looks, tries] = [0, 0];
  open.list = async () => {
    await new Promise(setImmediate);
    if (++looks === 10) {
      assert.equal(tries, 1);
      clock.advance(1_000);
    }
    if (looks === 20) stop.abort();
    keeper.look();
    return list();
  };
  contents.get = async () => {
    tries++;
    throw new RondoError('NATS_UNAVAILABLE', 'away');
  };
  await keeper.run(stop.signal);
  assert.equal(tries, 2);
});

test('a batch whose duty fails at its own keeper alone is taken over by another', {
  timeout: 20_000,
}, async () => {
  const { open, ended, shared } = memoryStores();
  await open.put(made.id, made);
  const clock = new ManualClock();
  const get = async () => {
    throw new RondoError('NATS_UNAVAILABLE', 'away');
  };
  const contents = Object.assign(Object.create(shared.contents), { get });
  const own = keeperOf('a', { ...shared, contents }, clock);
  const other = keeperOf('b', shared, clock);
  const stop = new AbortController();
  const list = open.list.bind(open);
  let looks = 0;
  open.list = async () => {
    await new Promise(setImmediate);
    clock.advance(500);
    if (++looks === 400 || (await ended.get(made.id)) !== undefined) stop.abort();
    own.keeper.look();
    other.keeper.look();
    return list();
  };
  await Promise.all([own, other].map(({ keeper }) => keeper.run(stop.signal)));
  // Its input is gone, which is its end.
  assert.equal((await ended.get(made.id))?.value.status, 'failed');
});

test('a cancelled batch ends when its patience does, also while nobody can tell who has its lines', {
  timeout: 20_000,
}, async () => {
  const { contents, open, ended, queue, shared } = memoryStores();
  const { id, inputFileId } = made;
  const line = { custom_id: 'x', method: 'POST', url: '/v1/completions', body: {} };
  await contents.put(inputFileId, [Buffer.from(JSON.stringify(line))]);
  await open.put(id, cancelling(started(made, 1, NOW), NOW - LIMITS.batchCancelS));
  queue.taken = async () => {
    throw new RondoError('NATS_UNAVAILABLE', 'away');
  };
  const stop = new AbortController();
  const { keeper } = keeperOf('a', shared);
  const list = open.list.bind(open);
  let looks = 0;
  open.list = async () => {
    await new Promise(setImmediate);
    if (++looks === 20 || (await ended.get(id)) !== undefined) stop.abort();
    keeper.look();
    return list();
  };
  await keeper.run(stop.signal);
  assert.equal((await ended.get(id))?.value.status, 'cancelled');
});
