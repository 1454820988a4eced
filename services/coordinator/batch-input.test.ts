import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { readInput } from './batch-input.ts';
import { newBatch } from './batch-record.ts';
import { BatchTenure } from './batch-tenure.ts';
import { memoryStores } from './test-batch-stores.ts';

const NOW = 1_000;
const made = newBatch(
  {
    ...{ id: 'batch_1', endpoint: '/v1/completions', inputFileId: 'file-1', completionWindow: '1m' },
    ...{ metadata: null, windowS: 60, keeperId: 'a' },
  },
  NOW,
);
const LINES = ['0', '1', '2'];

test('a batch does not go on while one of its lines is not in the queue', async () => {
  const { contents, open, queue, shared } = memoryStores();
  const { id, inputFileId } = made;
  const text = LINES.map((custom_id) =>
    JSON.stringify({ custom_id, method: 'POST', url: '/v1/completions', body: {} }),
  );
  await contents.put(inputFileId, [Buffer.from(text.join('\n'))]);
  const add = queue.add.bind(queue);
  const refused = new RondoError('NATS_UNAVAILABLE', 'the line was refused');
  queue.add = async (group, key) => {
    if (key === '0') throw refused;
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    await add(group, key);
  };
  const tenure = new BatchTenure(shared, await open.put(id, made));
  try {
    await assert.rejects(
      readInput(tenure, shared, () => NOW),
      refused,
    );
  } finally {
    tenure.end();
  }
  assert.equal((await open.get(id))!.value.status, 'validating');
});
