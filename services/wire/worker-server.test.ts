import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { address, type ErrorCode, LIMITS, RondoError } from '@rondo/core';
import { type GenerateStreamEvent, generateRequest } from './generate-message.ts';
import { healthService, messageTypes, workerService } from './proto.ts';
import { fromStatus } from './status.ts';
import { description, hello, spec, startPair } from './test-samples.ts';
import { connectWorker } from './worker-client.ts';
import { serveWorker } from './worker-server.ts';

const never = new AbortController().signal;
const asIs = (bytes: Buffer): Buffer => bytes;

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const token = (index: number): GenerateStreamEvent => ({
  type: 'token',
  epoch: 3,
  index,
  id: index + 1,
  logprob: -0.5,
  top: [],
  passes: 4,
});

const finished: GenerateStreamEvent = {
  type: 'finished',
  epoch: 3,
  reason: 'length',
  promptPasses: 12,
  generatedPasses: 8,
};

/** Resolves with the reason once `signal` has fired. */
const aborted = (signal: AbortSignal): Promise<unknown> =>
  signal.aborted
    ? Promise.resolve(signal.reason)
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));

/** Sends raw bytes as a Generate request and returns the status that ends the call. */
async function rawGenerate(
  target: string,
  bytes: Buffer,
  limit = LIMITS.grpcMessageBytes,
): Promise<ServiceError> {
  const client = new Client(target, credentials.createInsecure(), { 'grpc.max_send_message_length': limit });
  try {
    const call = client.makeServerStreamRequest(workerService.generate.path, asIs, asIs, bytes);
    const [error] = await once(call.resume(), 'error');
    return error as ServiceError;
  } catch (error) {
    return error as ServiceError;
  } finally {
    client.close();
  }
}

test('a worker describes itself', async () => {
  await using pair = await startPair({});
  assert.deepEqual(await pair.client.describe(), description);
  assert.match(pair.server.address, /^127\.0\.0\.1:[1-9]\d*$/);
});

test('generate hands over the spec unchanged and streams its events in order', async () => {
  const events = [
    { type: 'opened', epoch: 3, cachedTokens: 0 } as const,
    ...Array.from({ length: 200 }, (_, index) => token(index)),
    finished,
  ];
  let received: unknown;
  await using pair = await startPair({
    async *generate(given) {
      received = given;
      yield* events;
    },
  });
  assert.deepEqual(await collect(pair.client.generate(spec, never)), events);
  assert.deepEqual(received, spec);
});

test('a RondoError crosses with its code, message and param', async () => {
  const message = 'prompt of 9 – too long: 日本';
  await using pair = await startPair({
    describe: () => {
      throw new RondoError('ENGINE_FAILED', 'no warm-up yet');
    },
    // biome-ignore lint/correctness/useYield: it fails before its first event
    async *generate() {
      throw new RondoError('CONTEXT_LENGTH_EXCEEDED', message, { param: 'messages[0].cöntent' });
    },
  });
  await assert.rejects(collect(pair.client.generate(spec, never)), {
    name: 'RondoError',
    code: 'CONTEXT_LENGTH_EXCEEDED',
    message,
    param: 'messages[0].cöntent',
  });
  await assert.rejects(pair.client.describe(), { code: 'ENGINE_FAILED', param: undefined });
});

test('every code of the catalogue crosses, and an unforeseen error becomes INTERNAL', async () => {
  let thrown: Error = new Error();
  await using pair = await startPair({
    describe: () => {
      throw thrown;
    },
  });
  const { ERRORS } = await import('@rondo/core');
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    thrown = new RondoError(code, 'x'.repeat(10_000));
    await assert.rejects(pair.client.describe(), { code });
  }
  thrown = new TypeError('undefined is not a function');
  await assert.rejects(pair.client.describe(), { code: 'INTERNAL', message: 'undefined is not a function' });
});

test('aborting a generate cancels it on the worker and throws CANCELLED', async () => {
  const reason = Promise.withResolvers<unknown>();
  await using pair = await startPair({
    async *generate(_spec, signal) {
      yield { type: 'opened', epoch: 3, cachedTokens: 0 };
      reason.resolve(await aborted(signal));
    },
  });
  const user = new AbortController();
  const events = pair.client.generate(spec, user.signal)[Symbol.asyncIterator]();
  assert.deepEqual((await events.next()).value, { type: 'opened', epoch: 3, cachedTokens: 0 });
  const next = events.next();
  user.abort();
  await assert.rejects(next, { code: 'CANCELLED' });
  assert.equal(((await reason.promise) as RondoError).code, 'CANCELLED');
  await assert.rejects(collect(pair.client.generate(spec, user.signal)), { code: 'CANCELLED' });
  await assert.rejects(pair.client.describe(user.signal), { code: 'CANCELLED' });
});

test('leaving the loop cancels the call on the worker', async () => {
  const reason = Promise.withResolvers<unknown>();
  await using pair = await startPair({
    async *generate(_spec, signal) {
      yield { type: 'opened', epoch: 3, cachedTokens: 0 };
      reason.resolve(await aborted(signal));
    },
  });
  for await (const _ of pair.client.generate(spec, never)) break;
  assert.equal(((await reason.promise) as RondoError).code, 'CANCELLED');
});

test('leaving the loop at the finished event does not look like a cancellation', async () => {
  const gate = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<boolean>();
  await using pair = await startPair({
    async *generate(_spec, signal) {
      yield finished;
      await gate.promise;
      ended.resolve(signal.aborted);
    },
  });
  for await (const event of pair.client.generate(spec, never)) if (event.type === 'finished') break;
  // A cancellation would reach the server before this request does: they share a connection.
  await pair.client.describe();
  gate.resolve();
  assert.equal(await ended.promise, false);
});

test('no event surfaces after an abort, not even one that has already arrived', async () => {
  await using pair = await startPair({
    async *generate(_spec, signal) {
      for (let index = 0; index < 8; index++) yield token(index);
      await aborted(signal);
    },
  });
  const user = new AbortController();
  const events = pair.client.generate(spec, user.signal)[Symbol.asyncIterator]();
  await events.next();
  await pair.client.describe();
  user.abort();
  await assert.rejects(events.next(), { code: 'CANCELLED' });
});

test('a client that vanishes fires the signal and ends the handler', async () => {
  const reason = Promise.withResolvers<unknown>();
  await using pair = await startPair({
    async *generate(_spec, signal) {
      yield { type: 'opened', epoch: 3, cachedTokens: 0 };
      reason.resolve(await aborted(signal));
    },
  });
  const other = connectWorker(pair.server.address);
  const events = other.generate(spec, never)[Symbol.asyncIterator]();
  await events.next();
  const next = events.next();
  other.close();
  await assert.rejects(next, { code: 'CANCELLED' });
  await reason.promise;
  await assert.rejects(other.describe(), { code: 'CANCELLED' });
});

test('a slow reader slows the handler instead of filling memory', async () => {
  let produced = 0;
  const wide = { ...token(0), top: Array.from({ length: 1000 }, (_, id) => ({ id, logprob: -1 })) };
  await using pair = await startPair({
    async *generate() {
      for (; produced < 600; produced++) yield wide;
      yield finished;
    },
  });
  let taken = 0;
  for await (const _ of pair.client.generate(spec, never)) {
    taken++;
    assert.ok(produced - taken < 300, `${produced} produced, ${taken} taken`);
  }
  assert.equal(taken, 601);
});

test('a stream that ends without a finished event is a lost worker', async () => {
  await using pair = await startPair({
    async *generate() {
      yield token(0);
    },
  });
  await assert.rejects(collect(pair.client.generate(spec, never)), {
    code: 'WORKER_LOST',
    message: /before it was finished/,
  });
});

test('another protocol revision is refused and says why, on both ends', async () => {
  await using pair = await startPair({ describe: () => ({ ...description, protocolRevision: 7 }) });
  const message = messageTypes.generateRequest.decode(generateRequest.encode(spec));
  const bytes = messageTypes.generateRequest.encode({ ...message, protocolRevision: 99 });
  const error = fromStatus(await rawGenerate(pair.server.address, bytes), pair.server.address);
  assert.equal(error.code, 'PROTOCOL_MISMATCH');
  assert.match(error.message, /the caller speaks protocol revision 99, this process \d+/);
  await assert.rejects(pair.client.describe(), {
    code: 'PROTOCOL_MISMATCH',
    message: /worker 127\.0\.0\.1:\d+ speaks protocol revision 7, this process \d+/,
  });
});

test('bytes that are no request end the call, not the server', async () => {
  await using pair = await startPair({});
  const error = fromStatus(
    await rawGenerate(pair.server.address, Buffer.from([255, 255])),
    pair.server.address,
  );
  assert.equal(error.code, 'PROTOCOL_MISMATCH');
  assert.match(error.message, /malformed GenerateRequest/);
  await pair.client.describe();
});

test('a message over the limit is refused by the receiver too', async () => {
  await using pair = await startPair({});
  const limit = LIMITS.grpcMessageBytes;
  const error = await rawGenerate(pair.server.address, Buffer.alloc(limit + 1), 2 * limit);
  const rebuilt = fromStatus(error, pair.server.address);
  assert.equal(rebuilt.code, 'BODY_TOO_LARGE');
  assert.match(rebuilt.message, /larger than max \(4194305 vs/);
  const promptIds = new Array<number>(1_500_000).fill(100_000);
  await assert.rejects(collect(pair.client.generate({ ...spec, promptIds }, never)), {
    code: 'BODY_TOO_LARGE',
  });
});

test('a port in use is an error that names the address and the remedy', async () => {
  await using pair = await startPair({});
  await assert.rejects(startPairOn(pair.server.address), {
    code: 'CONFIG_INVALID',
    message: `cannot listen on ${pair.server.address}: the port is in use: stop whoever holds it or choose another`,
  });
});

test('what is no address is refused before anything listens or connects', async () => {
  for (const text of ['', 'localhost', ':7001', '127.0.0.1:70000', 'http://x:1', 'x:y']) {
    await assert.rejects(startPairOn(address(text)), {
      code: 'CONFIG_INVALID',
      message: /expected host:port/,
    });
    assert.throws(() => connectWorker(address(text)), { code: 'CONFIG_INVALID' });
  }
  const server = await serveWorker(address('[::1]:0'), failing);
  assert.match(server.address, /^\[::1\]:\d+$/);
  await server.close();
});

test('a worker that is not there is WORKER_LOST, named in one line', async () => {
  const server = await serveWorker(address('127.0.0.1:0'), failing);
  await server.close();
  const client = connectWorker(server.address);
  await assert.rejects(client.describe(), (error: RondoError) => {
    assert.equal(error.code, 'WORKER_LOST');
    assert.match(error.message, /^worker 127\.0\.0\.1:\d+: .*ECONNREFUSED 127\.0\.0\.1:\d+\.?$/);
    return true;
  });
  client.close();
});

test('a client reaches a worker that comes back on the same address', async () => {
  const first = await serveWorker(address('127.0.0.1:0'), { ...failing, describe: () => description });
  const client = connectWorker(first.address);
  await client.describe();
  await first.close();
  await assert.rejects(client.describe(), { code: 'WORKER_LOST' });
  const second = await serveWorker(first.address, { ...failing, describe: () => description });
  const again = async (): Promise<unknown> => client.describe().catch(again);
  assert.deepEqual(await again(), description);
  client.close();
  await second.close();
});

test('several servers and clients share one process', async () => {
  await using one = await startPair({ describe: () => ({ ...description, bundleName: 'one' }) });
  await using two = await startPair({ describe: () => ({ ...description, bundleName: 'two' }) });
  const names = await Promise.all([one, two].map(async ({ client }) => (await client.describe()).bundleName));
  assert.deepEqual(names, ['one', 'two']);
});

test('closing lets a running generate finish within the grace', async () => {
  const gate = Promise.withResolvers<void>();
  const pair = await startPair({
    async *generate() {
      yield token(0);
      await gate.promise;
      yield finished;
    },
  });
  const events = pair.client.generate(spec, never)[Symbol.asyncIterator]();
  await events.next();
  const closed = pair.server.close({ graceMs: 60_000 });
  gate.resolve();
  assert.deepEqual((await events.next()).value, finished);
  await closed;
  pair.client.close();
});

test('closing ends what outlasts the grace with WORKER_LOST and fires its signal', async () => {
  const reason = Promise.withResolvers<unknown>();
  const pair = await startPair({
    async *generate(_spec, signal) {
      yield token(0);
      reason.resolve(await aborted(signal));
    },
  });
  const events = pair.client.generate(spec, never)[Symbol.asyncIterator]();
  await events.next();
  const next = events.next();
  const closed = pair.server.close({ graceMs: 1 });
  await assert.rejects(next, { code: 'WORKER_LOST', message: /is stopping/ });
  assert.equal(((await reason.promise) as RondoError).code, 'WORKER_LOST');
  await closed;
  assert.equal(pair.server.close(), pair.server.close());
  pair.client.close();
});

test('closing does not wait for idle peers', async () => {
  const pair = await startPair({});
  const link = pair.client.openPasses(hello);
  const events = link.events[Symbol.asyncIterator]();
  const lost = assert.rejects(events.next(), { code: 'WORKER_LOST' });
  await pair.client.describe();
  await pair.server.close({ graceMs: 3_600_000 });
  await lost;
  pair.client.close();
});

test('the health service tells a serving worker from a stopping one', async () => {
  const pair = await startPair({});
  const probe = new Client(pair.server.address, credentials.createInsecure());
  const ask = (service: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const request = messageTypes.healthCheckRequest.encode({ service });
      probe.makeUnaryRequest(healthService.check.path, asIs, asIs, request, (error, bytes) => {
        if (error) reject(error);
        else resolve(bytes && messageTypes.healthCheckResponse.decode(bytes).status);
      });
    });
  assert.equal(await ask(''), 1);
  assert.equal(await ask('rondo.v1.WorkerService'), 1);
  await assert.rejects(ask('other'), { code: status.NOT_FOUND });
  const request = messageTypes.healthCheckRequest.encode({ service: '' });
  const watch = probe.makeServerStreamRequest(healthService.watch.path, asIs, asIs, request);
  const seen: number[] = [];
  for await (const bytes of watch) {
    seen.push(messageTypes.healthCheckResponse.decode(bytes as Buffer).status);
    if (seen.length === 1) void pair.server.close({ graceMs: 0 });
  }
  assert.deepEqual(seen, [1, 2]);
  probe.close();
  pair.client.close();
});

const failing = {
  describe: () => {
    throw new RondoError('INTERNAL', 'not used');
  },
  async *watch() {},
  async *generate() {},
  async passes() {},
};

const startPairOn = (listen: string) => serveWorker(address(listen), failing);
