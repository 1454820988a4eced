import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { type Address, address } from '@rondo/core';
import { description, progress, spec, startPair, work } from './test-samples.ts';
import { connectWorker } from './worker-client.ts';
import type { Pulse } from './worker-message.ts';

const pulse: Pulse = { state: 'serving', load: description.load, progress, work };

/** How long a process is held up, in milliseconds. */
const HELD_UP_MS = 3000;

/** One pulse, then silence until the watcher leaves. */
async function* onePulse(signal: AbortSignal): AsyncGenerator<Pulse> {
  yield pulse;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

test('a watcher hears the pulses and that the worker ended them', async () => {
  await using pair = await startPair({
    async *watch() {
      yield pulse;
      yield { ...pulse, state: 'draining' };
    },
  });
  const heard: Pulse[] = [];
  const watch = async () => {
    for await (const each of pair.client.watch(new AbortController().signal)) heard.push(each);
  };
  await assert.rejects(watch(), { code: 'WORKER_LOST', message: /ended its pulses/ });
  assert.deepEqual(
    heard.map(({ state }) => state),
    ['serving', 'draining'],
  );
});

test('a watcher that leaves ends its pulses on the worker', async () => {
  const ended = Promise.withResolvers<void>();
  await using pair = await startPair({
    async *watch(signal) {
      yield* onePulse(signal);
      ended.resolve();
    },
  });
  for await (const _ of pair.client.watch(new AbortController().signal)) break;
  await ended.promise;
});

test('when the network between them falls silent, both ends give their calls up', async () => {
  const givenUp = Promise.withResolvers<void>();
  await using pair = await startPair({
    watch: onePulse,
    async *generate(_spec, signal) {
      yield { type: 'opened', epoch: 3, cachedTokens: 0 };
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      givenUp.resolve();
    },
  });
  // Silence, not an end: no byte passes any more, in either direction, and no socket is closed.
  const [, port] = pair.server.address.split(':');
  const sockets: Socket[] = [];
  const proxy = createServer((near) => {
    const far = connect(Number(port), '127.0.0.1');
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) socket.on('error', () => {});
    sockets.push(near, far);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const client = connectWorker(address(`127.0.0.1:${(proxy.address() as { port: number }).port}`));
  const signal = new AbortController().signal;
  const pulses = client.watch(signal)[Symbol.asyncIterator]();
  const events = client.generate(spec, signal)[Symbol.asyncIterator]();
  await Promise.all([pulses.next(), events.next()]);
  for (const socket of sockets) socket.unpipe().pause();
  await assert.rejects(pulses.next(), { code: 'WORKER_LOST' });
  await assert.rejects(events.next(), { code: 'WORKER_LOST' });
  await givenUp.promise;
  client.close();
  for (const socket of sockets) socket.destroy();
  proxy.close();
});

test('a process that was held up for seconds loses no worker that is well, nor does the worker give it up', async (context) => {
  const thread = new Worker(new URL('./test-pulsing-thread.ts', import.meta.url));
  context.after(() => thread.terminate());
  const [where] = (await once(thread, 'message')) as [Address];
  const client = connectWorker(where);
  context.after(() => client.close());
  const pulses = client.watch(new AbortController().signal)[Symbol.asyncIterator]();
  await pulses.next();
  // The worker's pings go unanswered meanwhile, and every timer here is late before anything is read.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HELD_UP_MS);
  for (let pulse = 0; pulse < 8; pulse++) assert.equal((await pulses.next()).value?.state, 'serving');
});

test('a worker that keeps its connection and falls silent is given up', async () => {
  await using pair = await startPair({ watch: onePulse });
  const pulses = pair.client.watch(new AbortController().signal)[Symbol.asyncIterator]();
  await pulses.next();
  await assert.rejects(pulses.next(), { code: 'WORKER_LOST', message: /has fallen silent/ });
});
