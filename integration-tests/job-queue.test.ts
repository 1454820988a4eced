import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Job, JobQueue, openNats } from '@rondo/wire';
import { NATS_MISSING, NatsServer } from './nats-server.ts';

/** The next job, as soon as there is one: the server may need a moment to see it. */
async function taken(queue: JobQueue): Promise<Job> {
  for (;;) {
    const job = await queue.take('g');
    if (job !== undefined) return job;
  }
}

/** A queue with one job, of group g. */
async function oneJob(context: TestContext, { url }: NatsServer) {
  const link = await openNats({ servers: [url], name: 'test' });
  context.after(() => link.close());
  const queue = await JobQueue.open(link, { stream: 'jobs', subject: 'jobs', silenceMs: 1000 });
  await queue.openGroup('g');
  await queue.add('g', '0', Buffer.from('work'));
  return { link, queue };
}

test('a taken job can be kept, done with and given back while NATS is away, to no effect', {
  skip: NATS_MISSING,
}, async (context) => {
  await using server = await NatsServer.start();
  const away = Promise.withResolvers<void>();
  const back = Promise.withResolvers<void>();
  let lost = false;
  const link = await openNats({
    servers: [server.url],
    name: 'test',
    changed: ({ connected }) => {
      if (connected && lost) back.resolve();
      if (connected) return;
      lost = true;
      away.resolve();
    },
  });
  context.after(() => link.close());
  const queue = await JobQueue.open(link, { stream: 'jobs', subject: 'jobs', silenceMs: 1000 });
  await queue.openGroup('g');
  await queue.add('g', '0', Buffer.from('work'));
  const job = await taken(queue);
  await server.kill();
  await away.promise;
  // The runner keeps its jobs by a timer: what it threw would be nobody's to catch.
  job.keep();
  job.done();
  await job.giveBack('unharmed');
  await server.start();
  await back.promise;
  let again = await queue.take('g').catch(() => undefined);
  while (again === undefined) again = await queue.take('g').catch(() => undefined);
  assert.equal(Buffer.from(again.data).toString(), 'work');
});

test('a job tells how often it was taken, but for the times it was given back unharmed', {
  skip: NATS_MISSING,
}, async (context) => {
  await using server = await NatsServer.start();
  const { queue } = await oneJob(context, server);
  const deliveries: number[] = [];
  for (const how of ['unharmed', 'harmful', 'silent', 'unharmed', 'silent', 'harmful', 'harmful'] as const) {
    const job = await taken(queue);
    deliveries.push(job.deliveries);
    if (how !== 'silent') await job.giveBack(how);
  }
  assert.deepEqual(deliveries, [1, 1, 2, 3, 3, 4, 5]);
  const last = await taken(queue);
  assert.equal(Buffer.from(last.data).toString(), 'work');
  last.done();
  assert.equal(await queue.take('g'), undefined);
});

test('a job of a group that was dropped is not given back', { skip: NATS_MISSING }, async (context) => {
  await using server = await NatsServer.start();
  const { link, queue } = await oneJob(context, server);
  const job = await taken(queue);
  await queue.dropGroup('g');
  await job.giveBack('unharmed');
  const manager = await link.stores.jetstream.jetstreamManager();
  assert.equal((await manager.streams.info('jobs')).state.messages, 0);
});

test('nobody has a job of a group that is gone, or whose stream is', {
  skip: NATS_MISSING,
}, async (context) => {
  await using server = await NatsServer.start();
  const { link, queue } = await oneJob(context, server);
  await taken(queue);
  assert.equal(await queue.taken('g'), 1);
  await queue.dropGroup('g');
  assert.equal(await queue.taken('g'), 0);
  const manager = await link.stores.jetstream.jetstreamManager();
  await manager.streams.delete('jobs');
  assert.equal(await queue.taken('g'), 0);
});
