import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { encodeResult } from './batch-answer.ts';
import { type BatchRecord, newBatch, sealed, started } from './batch-record.ts';
import { writeOutput } from './batch-results.ts';
import type { BatchStores } from './batch-stores.ts';
import { BatchTenure } from './batch-tenure.ts';
import { memoryStores } from './test-batch-stores.ts';

const line = (customId: string) =>
  `${JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/completions', body: {} })}\n`;

const made = newBatch(
  {
    ...{ id: 'batch_1', endpoint: '/v1/completions', inputFileId: 'file-1', completionWindow: '1m' },
    ...{ metadata: null, windowS: 60, keeperId: 'a' },
  },
  0,
);
/** Two lines, both answered. */
const answered = sealed(started(made, 2, 0), 'completed', { seq: 2, completed: 2, failed: 0 }, 'a', 0);

const refused = new RondoError('NATS_UNAVAILABLE', 'the chunk was refused');

/** Two ways for a store to refuse a file: `content` is what there is of it so far. */
const REFUSALS: Record<string, (content: AsyncIterable<Uint8Array>) => Promise<never>> = {
  'before it has read anything': async () => {
    throw refused;
  },
  'after its first piece': async (content) => {
    for await (const _ of content) break;
    throw refused;
  },
};

/** Writes the output of a batch of two lines to a store that refuses it while the second's result is on its way. */
async function write(refuse: (content: AsyncIterable<Uint8Array>) => Promise<never>): Promise<void> {
  const given = Promise.withResolvers<void>();
  const data = encodeResult({ customId: 'a', requestId: 'r', statusCode: 200, body: {} });
  const stores = {
    contents: {
      get: async () => [Buffer.from(line('a') + line('b'))],
      put: (_: string, content: AsyncIterable<Uint8Array>) =>
        refuse(content).finally(() => setImmediate(given.resolve)),
    },
    results: {
      get: async (_: string, key: string) => {
        if (key === '1') await given.promise;
        return { data, seq: 1 };
      },
    },
  } as unknown as BatchStores;
  const batch = {
    ...{ id: 'batch_1', inputFileId: 'file-1', endpoint: '/v1/completions', ending: 'completed' },
    ...{ total: 2, tally: { seq: 1, completed: 2, failed: 0 } },
  } as unknown as BatchRecord;
  await writeOutput({ batch, lost: false } as unknown as BatchTenure, stores, () => 0);
}

for (const [when, refuse] of Object.entries(REFUSALS)) {
  test(`writing a batch's output fails with the store that refuses it ${when}`, { timeout: 20_000 }, () =>
    assert.rejects(write(refuse), /the chunk was refused/),
  );
}

test('output that another coordinator has written and put away is not overwritten with what is left', {
  timeout: 20_000,
}, async () => {
  const { contents, open, results, shared } = memoryStores();
  await contents.put('file-1', [Buffer.from(line('a') + line('b'))]);
  const tenure = new BatchTenure(shared, await open.put(made.id, answered));
  // Before the first result comes here the other has done it all.
  results.get = async () => {
    await contents.put('file-1o', [Buffer.from('answers')]);
    await open.delete(made.id);
    return undefined;
  };
  const done = writeOutput(tenure, shared, () => 0).finally(() => tenure.end());
  await assert.rejects(done, { code: 'CANCELLED' });
  assert.deepEqual(await Array.fromAsync((await contents.get('file-1o'))!), [Buffer.from('answers')]);
  assert.equal(await contents.get('file-1e'), undefined);
});

test('a batch whose input is gone when its output is to be written fails for it', async () => {
  const { open, shared } = memoryStores();
  const tenure = new BatchTenure(shared, await open.put(made.id, answered));
  await writeOutput(tenure, shared, () => 7).finally(() => tenure.end());
  const { status, endedAt, errors } = (await open.get(made.id))!.value;
  assert.deepEqual([status, endedAt, errors.map(({ code }) => code)], ['failed', 7, ['file_not_found']]);
});
