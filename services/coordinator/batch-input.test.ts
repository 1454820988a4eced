import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { readInput } from './batch-input.ts';
import { type BatchRecord, cancelling, ended, newBatch, sealed } from './batch-record.ts';
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
const { id } = made;
const LINES = ['0', '1', '2'];
const refused = new RondoError('NATS_UNAVAILABLE', 'the line was refused');

type Stores = ReturnType<typeof memoryStores>;

/** Coordinator `a` reads an input of three lines; `first` happens while the first is on its way, the others come to the queue later. */
async function read(
  first: (stores: Stores) => Promise<unknown>,
  failure?: RondoError,
  stores = memoryStores(),
) {
  const { contents, open, queue, shared } = stores;
  const text = LINES.map((custom_id) =>
    JSON.stringify({ custom_id, method: 'POST', url: '/v1/completions', body: {} }),
  );
  await contents.put(made.inputFileId, [Buffer.from(text.join('\n'))]);
  const add = queue.add.bind(queue);
  const arrive = async (group: string, key: string) => {
    if (key === '0') await first(stores);
    else for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    await add(group, key);
  };
  const adds: Promise<void>[] = [];
  queue.add = (group, key) => {
    const arrival = arrive(group, key);
    adds.push(arrival);
    return arrival;
  };
  const tenure = new BatchTenure(shared, await open.put(id, made));
  try {
    const done = readInput(tenure, shared, () => NOW);
    await (failure ? assert.rejects(done, failure) : done);
  } finally {
    tenure.end();
  }
  await Promise.allSettled(adds);
  const { status, errors } = (await open.get(id))?.value ?? {};
  return { jobs: (queue.jobs.get(id) ?? []).toSorted(), status, errors };
}

const refuse = async (): Promise<never> => {
  throw refused;
};

/** Another coordinator drops the group, and has put the batch away or is about to. */
const putAway = async ({ open, queue }: Stores): Promise<void> => {
  await queue.dropGroup(id);
  await open.delete(id);
};
const end = async ({ open, queue }: Stores): Promise<void> => {
  const files = { outputFileId: undefined, errorFileId: undefined };
  await open.put(id, ended(sealed(cancelling(made, NOW), 'cancelled', made.tally, 'b', NOW), files, NOW));
  await queue.dropGroup(id);
};

test('a batch does not go on while one of its lines is not in the queue', async () => {
  assert.equal((await read(refuse, refused)).status, 'validating');
});

test('no line stays in the queue of a batch that others ended while its input was read', async () => {
  assert.deepEqual((await read(putAway)).jobs, []);
  assert.deepEqual((await read(end)).jobs, []);
  const putAwayAndRefuse = (stores: Stores) => putAway(stores).then(refuse);
  assert.deepEqual((await read(putAwayAndRefuse, refused)).jobs, []);
});

test('the lines stay of a batch that goes on, here or at a coordinator that took it over', async () => {
  const none: BatchRecord['errors'] = [];
  assert.deepEqual(await read(async () => undefined), { jobs: LINES, status: 'in_progress', errors: none });
  const taken: BatchRecord = { ...made, keeper: { id: 'b', beat: 0 } };
  assert.deepEqual(await read(({ open }) => open.put(id, taken)), {
    ...{ jobs: LINES, status: 'validating', errors: none },
  });
});

test('a batch whose input goes between its check and its lines fails for it', async () => {
  const stores = memoryStores();
  const { contents } = stores;
  const get = contents.get.bind(contents);
  let reads = 0;
  contents.get = async (name) => (++reads === 1 ? get(name) : undefined);
  const { jobs, status, errors } = await read(async () => undefined, undefined, stores);
  assert.deepEqual([jobs, status, errors?.map(({ code }) => code)], [[], 'failed', ['file_not_found']]);
});
