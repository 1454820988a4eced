import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { ManualClock } from '@rondo/core';
import { encodeResult } from './batch-answer.ts';
import { BatchKeeper } from './batch-keeper.ts';
import { BatchMetrics } from './batch-metrics.ts';
import { cancelling, newBatch, started } from './batch-record.ts';
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
function keeperOf(id: string, stores: BatchStores) {
  const metrics = new Metrics();
  const keeper = new BatchKeeper({
    ...{ id, stores, metrics: new BatchMetrics(metrics), clock: new ManualClock(), now: () => NOW },
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
