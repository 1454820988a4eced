import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { BatchCluster, batchWhen, completionLine, isOver, outputLines, upload } from './batch-cluster.ts';
import { Cluster } from './cluster.ts';
import { NATS_MISSING } from './nats-server.ts';
import { TinyBundle } from './tiny-bundle.ts';

const ENDPOINT = '/v1/completions';

describe('files and batches through the official OpenAI client', { skip: NATS_MISSING }, () => {
  let cluster: BatchCluster;
  let client: OpenAI;
  before(async () => {
    cluster = await BatchCluster.start({ workers: 1, coordinators: 1 });
    client = cluster.client();
  });
  after(() => cluster[Symbol.asyncDispose]());

  const run = async (
    lines: readonly unknown[],
    endpoint: OpenAI.BatchCreateParams['endpoint'] = ENDPOINT,
  ) => {
    const file = await upload(client, lines);
    const batch = await client.batches.create({
      input_file_id: file.id,
      endpoint,
      completion_window: '24h',
    });
    return batchWhen(client, batch.id, isOver);
  };

  test('a batch answers each line as the endpoint does, in the order of its input', async () => {
    const file = await upload(client, [completionLine('a'), completionLine('b'), completionLine('c')]);
    const created = await client.batches.create({
      input_file_id: file.id,
      endpoint: ENDPOINT,
      completion_window: '24h',
      metadata: { run: 'first' },
    });
    assert.equal(created.object, 'batch');
    assert.equal(created.status, 'validating');
    assert.equal(created.expires_at! - created.created_at, 86_400);
    const batch = await batchWhen(client, created.id, isOver);
    assert.equal(batch.status, 'completed');
    assert.deepEqual(batch.request_counts, { total: 3, completed: 3, failed: 0 });
    assert.deepEqual(batch.metadata, { run: 'first' });
    assert.equal(batch.error_file_id, null);
    const times = [batch.created_at, batch.in_progress_at!, batch.finalizing_at!, batch.completed_at!];
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    const lines = await outputLines(client, batch.output_file_id);
    assert.deepEqual(
      lines.map((line) => line.custom_id),
      ['a', 'b', 'c'],
    );
    assert.equal(new Set(lines.map((line) => line.id)).size, 3);
    for (const line of lines) {
      const { model, prompt, max_tokens, temperature } = completionLine(line.custom_id).body;
      const alone = await client.completions.create({
        ...{ model, prompt, max_tokens, temperature },
        ...{ ignore_eos: true },
      });
      assert.equal(line.error, null);
      assert.equal(line.response!.status_code, 200);
      assert.equal(line.response!.body.object, 'text_completion');
      assert.equal(line.response!.body.choices[0].text, alone.choices[0]!.text);
    }
  });

  test('chat lines, several choices and lines that fail on their own', async () => {
    const chat = (customId: string, fields: object) => ({
      custom_id: customId,
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], max_tokens: 4, ...fields },
    });
    const batch = await run(
      [
        chat('one', {}),
        chat('three', { n: 3 }),
        chat('hot', { temperature: 9 }),
        chat('stranger', { model: 'gpt-4o' }),
        chat('flowing', { stream: true }),
      ],
      '/v1/chat/completions',
    );
    assert.equal(batch.status, 'completed');
    assert.deepEqual(batch.request_counts, { total: 5, completed: 2, failed: 3 });
    const good = await outputLines(client, batch.output_file_id);
    assert.deepEqual(
      good.map((line) => [line.custom_id, line.response!.body.choices.length]),
      [
        ['one', 1],
        ['three', 3],
      ],
    );
    const bad = await outputLines(client, batch.error_file_id);
    assert.deepEqual(
      bad.map((line) => [line.custom_id, line.response!.status_code, line.response!.body.error.param]),
      [
        ['hot', 400, 'temperature'],
        ['stranger', 404, 'model'],
        ['flowing', 400, 'stream'],
      ],
    );
  });

  test('an input that is wrong fails the batch, and says what is wrong on which line', async () => {
    const batch = await run([
      completionLine('a'),
      '{"custom_id": "b", ',
      '',
      completionLine('a'),
      { ...completionLine('c'), url: '/v1/embeddings' },
      { ...completionLine('d'), method: 'GET' },
      { ...completionLine('e'), body: 'text' },
      { ...completionLine('f'), custom_id: 7 },
      completionLine('g', { user: 'x'.repeat(600_000) }),
    ]);
    assert.equal(batch.status, 'failed');
    assert.ok(batch.failed_at);
    assert.equal(batch.output_file_id, null);
    assert.deepEqual(
      batch.errors!.data!.map(({ line, code, param }) => [line, code, param]),
      [
        [2, 'invalid_json_line', null],
        [4, 'duplicate_custom_id', 'custom_id'],
        [5, 'invalid_url', 'url'],
        [6, 'invalid_method', 'method'],
        [7, 'missing_required_parameter', 'body'],
        [8, 'missing_required_parameter', 'custom_id'],
        [9, 'line_too_long', null],
      ],
    );
    assert.equal((await run(['\n\n'])).errors!.data![0]!.code, 'empty_file');
  });

  test('files are listed, paged through, read and deleted', async () => {
    const files = [];
    for (const name of ['x', 'y', 'z']) files.push(await upload(client, [completionLine(name)]));
    const listed: string[] = [];
    for await (const file of client.files.list({ purpose: 'batch', limit: 2 })) listed.push(file.id);
    assert.deepEqual(listed.slice(0, 3), files.map(({ id }) => id).reverse());
    const [first] = files;
    assert.deepEqual(await client.files.retrieve(first!.id), first);
    assert.equal(await (await client.files.content(first!.id)).text(), JSON.stringify(completionLine('x')));
    assert.equal(first!.bytes, JSON.stringify(completionLine('x')).length);
    assert.equal((await client.files.delete(first!.id)).deleted, true);
    await assert.rejects(client.files.retrieve(first!.id), OpenAI.NotFoundError);
    await assert.rejects(client.files.content(first!.id), OpenAI.NotFoundError);
  });

  test('a file larger than one message comes back as it was', async () => {
    const text = Array.from({ length: 40_000 }, (_, index) => `line ${index} of a long file`).join('\n');
    const file = await client.files.create({
      file: await toFile(Buffer.from(text), 'l.jsonl'),
      purpose: 'batch',
    });
    assert.equal(file.bytes, text.length);
    assert.equal(await (await client.files.content(file.id)).text(), text);
  });

  test('uploads and batches that cannot be are refused, naming the field', async () => {
    const file = await upload(client, [completionLine('a')]);
    const refused = async (promise: Promise<unknown>, status: number, param: string | null) =>
      assert.rejects(promise, (error: unknown) => {
        assert.ok(error instanceof OpenAI.APIError, String(error));
        assert.deepEqual([error.status, error.param], [status, param], error.message);
        return true;
      });
    await refused(
      client.files.create({ file: await toFile(Buffer.from('{}'), 'a'), purpose: 'fine-tune' }),
      400,
      'purpose',
    );
    const wish = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' } as const;
    await refused(client.batches.create({ ...wish, input_file_id: 'file-nope' }), 404, 'file_id');
    await refused(client.batches.create({ ...wish, endpoint: '/v1/embeddings' }), 400, 'endpoint');
    await refused(
      client.batches.create({ ...wish, completion_window: 'soon' as '24h' }),
      400,
      'completion_window',
    );
    await refused(client.batches.retrieve('batch_nope'), 404, 'batch_id');
    await refused(client.batches.list({ limit: 1000 }), 400, 'limit');
  });

  test('batches are listed from the newest on, and paged through', async () => {
    const made = [];
    for (const name of ['p', 'q', 'r']) {
      const file = await upload(client, [completionLine(name)]);
      made.push(
        await client.batches.create({
          input_file_id: file.id,
          endpoint: ENDPOINT,
          completion_window: '24h',
        }),
      );
    }
    const listed: string[] = [];
    for await (const batch of client.batches.list({ limit: 2 })) listed.push(batch.id);
    assert.deepEqual(listed.slice(0, 3), made.map(({ id }) => id).reverse());
    assert.equal(new Set(listed).size, listed.length);
    for (const { id } of made) await batchWhen(client, id, isOver);
  });

  test('cancelling stops what has not started, and what was answered can be fetched', async () => {
    const total = 400;
    const lines = Array.from({ length: total }, (_, index) =>
      completionLine(`c${index}`, { max_tokens: 100 }),
    );
    const file = await upload(client, lines);
    const { id } = await client.batches.create({
      input_file_id: file.id,
      endpoint: ENDPOINT,
      completion_window: '24h',
    });
    await batchWhen(client, id, ({ request_counts }) => request_counts!.completed > 0);
    await assert.rejects(client.files.delete(file.id), OpenAI.BadRequestError);
    assert.equal((await client.batches.cancel(id)).status, 'cancelling');
    const batch = await batchWhen(client, id, isOver);
    assert.equal(batch.status, 'cancelled');
    assert.ok(batch.cancelling_at! <= batch.cancelled_at!);
    const answered = await outputLines(client, batch.output_file_id);
    const unanswered = await outputLines(client, batch.error_file_id);
    assert.ok(answered.length > 0 && unanswered.length > 0);
    assert.deepEqual(batch.request_counts, {
      total,
      completed: answered.length,
      failed: unanswered.length,
    });
    assert.equal(answered.length + unanswered.length, total);
    for (const line of unanswered) {
      assert.deepEqual([line.response, line.error!.code], [null, 'batch_cancelled']);
    }
    await assert.rejects(client.batches.cancel(id), OpenAI.BadRequestError);
  });
});

test('without NATS every route of files and batches says what it needs', async () => {
  await using bundle = await TinyBundle.make(2);
  await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 1, placement: 'homed' });
  for (const [method, path] of [
    ['GET', '/v1/files'],
    ['GET', '/v1/files/file-1'],
    ['GET', '/v1/files/file-1/content'],
    ['DELETE', '/v1/files/file-1'],
    ['GET', '/v1/batches'],
    ['POST', '/v1/batches/batch_1/cancel'],
  ] as const) {
    const response = await fetch(`${cluster.url}${path}`, { method });
    assert.equal(response.status, 501, path);
    assert.match(
      ((await response.json()) as { error: { message: string } }).error.message,
      /rondo coordinator --nats/,
    );
  }
  const client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  await assert.rejects(upload(client, [completionLine('a')]), /rondo coordinator --nats/);
  await assert.rejects(
    client.batches.create({ input_file_id: 'f', endpoint: ENDPOINT, completion_window: '24h' }),
    /rondo coordinator --nats/,
  );
});
