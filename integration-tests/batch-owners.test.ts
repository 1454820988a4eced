import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import OpenAI from 'openai';
import { BatchCluster, batchWhen, completionLine, isOver, outputLines, upload } from './batch-cluster.ts';
import { NATS_MISSING } from './nats-server.ts';
import { RondoProcess } from './rondo-process.ts';

test('files and batches of one key do not exist for another', { skip: NATS_MISSING }, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'rondo-owners-'));
  context.after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'keys.txt');
  const newKey = async (name: string) =>
    (await RondoProcess.run('key', 'new', '--name', name, '--file', file)).stdout.trim();
  const keys = [await newKey('alice'), await newKey('bob')];
  await using cluster = await BatchCluster.start({
    workers: 1,
    coordinators: 1,
    options: ['--api-keys', file],
  });
  const [alice, bob] = keys.map((key) => cluster.client(0, key)) as [OpenAI, OpenAI];
  const create = (client: OpenAI, input_file_id: string) =>
    client.batches.create({ input_file_id, endpoint: '/v1/completions', completion_window: '24h' });

  const { id: input } = await upload(alice, [completionLine('a')]);
  const { id } = await create(alice, input);
  const batch = await batchWhen(alice, id, isOver);
  const output = batch.output_file_id!;
  assert.deepEqual(
    (await outputLines(alice, output)).map((line) => line.custom_id),
    ['a'],
  );

  const unknown = [
    () => bob.files.retrieve(input),
    () => bob.files.content(output),
    () => bob.files.delete(input),
    () => bob.batches.retrieve(id),
    () => bob.batches.cancel(id),
    () => create(bob, input),
  ];
  for (const ask of unknown) await assert.rejects(ask(), OpenAI.NotFoundError, String(ask));
  assert.deepEqual([(await bob.files.list()).data, (await bob.batches.list()).data], [[], []]);
  assert.deepEqual(
    (await alice.files.list()).data.map((known) => known.id).toSorted(),
    [input, output].toSorted(),
  );
  assert.deepEqual(
    (await alice.batches.list()).data.map((known) => known.id),
    [id],
  );
});
