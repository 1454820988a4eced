import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { BatchCluster, batchWhen, completionLine, isOver, outputLines, upload } from './batch-cluster.ts';
import { NATS_MISSING } from './nats-server.ts';

const ENDPOINT = '/v1/completions';
/** What a killed coordinator held is another's soon: these tests wait for little else. */
const options = ['--batch-silence-seconds', '2'];

const metricsOf = async (cluster: BatchCluster): Promise<string> =>
  (await fetch(`${cluster.url(0)}/metrics`)).text();

/** What the coordinator logged of a line that it took after it was lost. */
const retaken = (cluster: BatchCluster, line: string, deliveries: number) =>
  cluster.coordinators[0]!.errors.split('\n')
    .filter((text) => text.includes('taken before'))
    .map((text) => JSON.parse(text) as { line: string; deliveries: number; course: string })
    .filter((told) => told.line === line && told.deliveries === deliveries);

/** Asks until there is an answer; the test's own time limit ends the wait. */
async function until<T>(ask: () => T | Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (Array.isArray(answer) ? answer.length > 0 : answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const answersOf = (lines: Awaited<ReturnType<typeof outputLines>>) =>
  new Map(lines.map((line) => [line.custom_id, line.response?.body.choices[0].text as string]));

test('a batch outlives its coordinator, a worker and the NATS server, and answers each line exactly once', {
  skip: NATS_MISSING,
}, async () => {
  await using cluster = await BatchCluster.start({ workers: 2, coordinators: 2, options });
  const total = 300;
  const lines = Array.from({ length: total }, (_, index) =>
    completionLine(`line-${index}`, { max_tokens: 24 }),
  );
  const [first, second] = [cluster.client(0), cluster.client(1)];
  const { id } = await first.batches.create({
    input_file_id: (await upload(first, lines)).id,
    endpoint: ENDPOINT,
    completion_window: '24h',
  });
  const answered = (count: number) => (batch: OpenAI.Batch) => {
    assert.ok(['validating', 'in_progress'].includes(batch.status), `too late to disturb: ${batch.status}`);
    return batch.request_counts!.completed >= count;
  };

  await batchWhen(second, id, answered(20));
  cluster.coordinators[0]!.kill('SIGKILL');
  await batchWhen(second, id, answered(60));
  cluster.workers[0]!.kill('SIGKILL');
  await batchWhen(second, id, answered(100));
  await cluster.nats.kill();
  await cluster.nats.start();
  await batchWhen(second, id, answered(140));
  await cluster.startWorker(0);
  await cluster.startCoordinator(0);

  const batch = await batchWhen(cluster.client(0), id, isOver);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.request_counts, { total, completed: total, failed: 0 });
  const output = await outputLines(cluster.client(0), batch.output_file_id);
  assert.deepEqual(
    output.map((line) => line.custom_id),
    lines.map((line) => line.custom_id),
  );
  const undisturbed = await cluster.client(1).completions.create(lines[total - 1]!.body);
  assert.equal(answersOf(output).get(`line-${total - 1}`), undisturbed.choices[0]!.text);
});

test('a NATS server that comes back on an empty disk takes files and batches again, and what was lost is said', {
  skip: NATS_MISSING,
}, async () => {
  await using cluster = await BatchCluster.start({ workers: 1, coordinators: 1, options });
  const client = cluster.client();
  const lines = [completionLine('one')];
  await upload(client, lines);
  await cluster.nats.kill();
  await cluster.nats.loseFiles();
  await cluster.nats.start();
  const create = async () =>
    client.batches.create({
      input_file_id: (await upload(client, lines)).id,
      endpoint: ENDPOINT,
      completion_window: '24h',
    });
  const made = await until(() =>
    create().catch((error: unknown) => {
      if (error instanceof OpenAI.InternalServerError) return undefined;
      throw error;
    }),
  );
  assert.equal((await batchWhen(client, made!.id, isOver)).status, 'completed');
  const told = cluster.coordinators[0]!.errors.split('\n').filter((line) =>
    line.includes('made anew, empty'),
  );
  const streams = told.flatMap((line) => (JSON.parse(line) as { streams: string[] }).streams);
  assert.deepEqual([...new Set(streams)].toSorted(), [
    ...['KV_rondo-batches-ended', 'KV_rondo-batches-open', 'KV_rondo-files', 'OBJ_rondo-contents'],
    ...['rondo-batch-lines', 'rondo-batch-results'],
  ]);
});

test('a batch whose coordinator dies while it reads the input is read by another', {
  skip: NATS_MISSING,
}, async () => {
  await using cluster = await BatchCluster.start({ workers: 1, coordinators: 2, options });
  const client = cluster.client(1);
  const lines = Array.from({ length: 8000 }, (_, index) => completionLine(`${index}`, { max_tokens: 1 }));
  const file = await upload(client, lines);
  const { id } = await cluster.client(0).batches.create({
    input_file_id: file.id,
    endpoint: ENDPOINT,
    completion_window: '24h',
  });
  cluster.coordinators[0]!.kill('SIGKILL');
  assert.equal((await client.batches.retrieve(id)).status, 'validating');
  await batchWhen(client, id, ({ status }) => status === 'in_progress');
  await client.batches.cancel(id);
  const batch = await batchWhen(client, id, isOver);
  const { completed, failed } = batch.request_counts!;
  assert.deepEqual([batch.status, completed + failed], ['cancelled', lines.length]);
});

test('with no worker left lines wait for one, until the window closes', { skip: NATS_MISSING }, async () => {
  await using cluster = await BatchCluster.start({ workers: 1, coordinators: 1, options });
  const client = cluster.client();
  const create = async (names: readonly string[], completion_window: string) =>
    client.batches.create({
      input_file_id: (
        await upload(
          client,
          names.map((name) => completionLine(name)),
        )
      ).id,
      endpoint: ENDPOINT,
      completion_window: completion_window as '24h',
    });
  cluster.workers[0]!.kill('SIGKILL');
  const hasty = await create(['late'], '4s');
  const patient = await create(['patient'], '24h');
  const expired = await batchWhen(client, hasty.id, isOver);
  assert.equal(expired.status, 'expired');
  assert.equal(expired.output_file_id, null);
  const [line] = await outputLines(client, expired.error_file_id);
  assert.deepEqual([line!.custom_id, line!.response, line!.error!.code], ['late', null, 'batch_expired']);

  await cluster.startWorker(0);
  const completed = await batchWhen(client, patient.id, isOver);
  assert.deepEqual([completed.status, completed.request_counts!.completed], ['completed', 1]);
});

test('interactive requests are served while a batch fills the machine, and the batch goes on after them', {
  skip: NATS_MISSING,
}, async () => {
  await using cluster = await BatchCluster.start({ workers: 1, coordinators: 1, options });
  const client = cluster.client();
  const total = 200;
  const lines = Array.from({ length: total }, (_, index) => completionLine(`${index}`, { max_tokens: 120 }));
  const { id } = await client.batches.create({
    input_file_id: (await upload(client, lines)).id,
    endpoint: ENDPOINT,
    completion_window: '24h',
  });
  await batchWhen(client, id, ({ request_counts }) => request_counts!.completed > 0);
  for (let count = 0; count < 20; count++) {
    const answer = await client.completions.create(completionLine('now', { max_tokens: 2 }).body);
    assert.equal(answer.usage!.completion_tokens, 2);
  }
  const meanwhile = await client.batches.retrieve(id);
  assert.ok(meanwhile.request_counts!.completed < total, 'the batch came first');
  const metrics = await (await fetch(`${cluster.url(0)}/metrics`)).text();
  assert.match(metrics, /rondo_batch_lines_running [1-9]/);
  assert.match(metrics, /rondo_batch_open 1/);
  const batch = await batchWhen(client, id, isOver);
  assert.deepEqual([batch.status, batch.request_counts!.completed], ['completed', total]);
});

test('a line that takes its coordinator down each time is given up, and all others are answered exactly once', {
  skip: NATS_MISSING,
}, async () => {
  // Passes take their time, so that the long line is sure to run when its coordinator is killed.
  const workerOptions = ['--engine', 'timed', '--timed-pass-ms', '20'];
  await using cluster = await BatchCluster.start({ workers: 1, coordinators: 1, options, workerOptions });
  const poison = completionLine('poison', { max_tokens: 200 });
  const others = Array.from({ length: 30 }, (_, index) => completionLine(`${index}`, { max_tokens: 3 }));
  const { id } = await cluster.client().batches.create({
    input_file_id: (await upload(cluster.client(), [poison, ...others])).id,
    endpoint: ENDPOINT,
    completion_window: '24h',
  });
  // The first line of the queue runs before any other.
  await until(async () => /^rondo_batch_lines_running [1-9]/m.test(await metricsOf(cluster)));
  for (const delivery of [2, 3, 4, 5]) {
    cluster.coordinators[0]!.kill('SIGKILL');
    await cluster.startCoordinator(0);
    const [again] = await until(() => retaken(cluster, '0', delivery));
    assert.equal(again!.course, ['run', 'run-alone', 'run-alone', 'give-up'][delivery - 2]);
  }
  const batch = await batchWhen(cluster.client(), id, isOver);
  assert.deepEqual(
    [batch.status, batch.request_counts],
    ['completed', { total: 31, completed: 30, failed: 1 }],
  );
  const output = await outputLines(cluster.client(), batch.output_file_id);
  assert.deepEqual(
    output.map((line) => line.custom_id),
    others.map((line) => line.custom_id),
  );
  const failed = await outputLines(cluster.client(), batch.error_file_id);
  assert.deepEqual(
    failed.map((line) => [line.custom_id, line.response!.body.error.code]),
    [['poison', 'line_given_up']],
  );
  assert.match(failed[0]!.response!.body.error.message, /taken 4 times/);
});

test('a line that lost all workers in the middle of its run counts it, and is answered once there is one', {
  skip: NATS_MISSING,
}, async () => {
  const workerOptions = ['--engine', 'timed', '--timed-pass-ms', '20'];
  await using cluster = await BatchCluster.start({ workers: 1, coordinators: 1, options, workerOptions });
  const { id } = await cluster.client().batches.create({
    input_file_id: (await upload(cluster.client(), [completionLine('long', { max_tokens: 40 })])).id,
    endpoint: ENDPOINT,
    completion_window: '24h',
  });
  await until(async () => /^rondo_sequences_running(\{.*\})? [1-9]/m.test(await metricsOf(cluster)));
  cluster.workers[0]!.kill('SIGKILL');
  await until(async () => /rondo_batch_lines_total\{outcome="refused"\} 1/.test(await metricsOf(cluster)));
  await cluster.startWorker(0);
  const batch = await batchWhen(cluster.client(), id, isOver);
  assert.deepEqual(batch.request_counts, { total: 1, completed: 1, failed: 0 });
  assert.equal(retaken(cluster, '0', 2).length > 0, true);
  assert.equal(retaken(cluster, '0', 3).length, 0, 'refusals of a line that did not run counted');
});
