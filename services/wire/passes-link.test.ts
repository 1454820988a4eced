import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { RondoError, sequenceId } from '@rondo/core';
import { helloFrame } from './hello.ts';
import { type MicrobatchChunk, rowsPerFrame } from './microbatch.ts';
import { type PassesFrame, passesFrame } from './passes-frame.ts';
import { workerService } from './proto.ts';
import { fromStatus } from './status.ts';
import { hello, route, spec, startPair } from './test-samples.ts';

const id = sequenceId('seq-1');

const asIs = (bytes: Buffer): Buffer => bytes;

const microbatch = (...chunks: Partial<MicrobatchChunk>[]): PassesFrame & { type: 'microbatch' } => ({
  type: 'microbatch',
  chunks: chunks.map((chunk) => ({
    sequenceId: id,
    epoch: 3,
    kind: 'live',
    depth: 1,
    start: 0,
    rows: 1,
    rest: 0,
    survival: 1,
    state: new Float32Array(4),
    ...chunk,
  })),
});

test('a stage is opened, fed and closed over one stream, and floats arrive bit for bit', async () => {
  const special = new Uint32Array([0x7fc01234, 0x80000000, 0xff800000, 0x00000001]);
  const floats = new Float32Array(special.buffer);
  const frames: PassesFrame[] = [
    {
      type: 'open-stage',
      sequenceId: id,
      route,
      positions: 20,
      exit: spec.exit,
      promptRows: 3,
      promptStates: false,
      background: false,
    },
    microbatch({ state: floats }, { rows: 2, start: 7, state: new Float32Array([1, 2, 3, 4, 5, 6, 7, 8]) }),
    { type: 'close-stage', sequenceId: id, epoch: 3 },
  ];
  const seen: PassesFrame[] = [];
  let greeted: unknown;
  await using pair = await startPair({
    async passes(given, received, reply) {
      greeted = given;
      for await (const frame of received) {
        seen.push(frame);
        if (frame.type === 'open-stage') reply({ type: 'stage-opened', sequenceId: id, epoch: 3 });
        if (frame.type === 'close-stage') {
          reply({
            type: 'stage-failed',
            sequenceId: id,
            epoch: 3,
            error: new RondoError('KV_EXHAUSTED', 'full'),
          });
        }
      }
    },
  });
  const link = pair.client.openPasses(hello);
  for (const frame of frames) await link.send(frame);
  link.close();
  const replies = [];
  for await (const reply of link.events) replies.push(reply);
  assert.deepEqual(replies[0], { type: 'stage-opened', sequenceId: id, epoch: 3 });
  assert.ok(replies[1]?.type === 'stage-failed' && replies[1].error.code === 'KV_EXHAUSTED');
  assert.equal(replies.length, 2);
  assert.deepEqual(greeted, hello);
  assert.deepEqual(seen, frames);
  const state = seen[1]?.type === 'microbatch' ? seen[1].chunks[0]?.state : undefined;
  assert.deepEqual(new Uint32Array(state?.buffer ?? new ArrayBuffer()), special);
  await assert.rejects(link.send(frames[0]!), { code: 'CANCELLED', message: /is closed/ });
});

test('a sender is held back to what its receiver takes', async () => {
  const hidden = 1024;
  const rows = rowsPerFrame(hidden);
  const frame = microbatch({ rows, state: new Float32Array(rows * hidden) });
  const count = 400;
  let sent = 0;
  let taken = 0;
  await using pair = await startPair({
    async passes(_hello, frames) {
      for await (const _ of frames) {
        taken++;
        assert.ok(sent - taken < 100, `${sent} sent, ${taken} taken`);
      }
    },
  });
  const link = pair.client.openPasses(hello);
  for (; sent < count; sent++) await link.send(frame);
  link.close();
  for await (const _ of link.events);
  assert.equal(taken, count);
});

test('a frame too large is rejected and the link goes on', async () => {
  await using pair = await startPair({
    async passes(_hello, frames, reply) {
      for await (const _ of frames) reply({ type: 'stage-opened', sequenceId: id, epoch: 3 });
    },
  });
  const link = pair.client.openPasses(hello);
  const huge = microbatch({ rows: 100, state: new Float32Array(100 * 1024) });
  await assert.rejects(link.send(huge), { code: 'INTERNAL', message: /allowed are/ });
  await link.send(microbatch({}));
  link.close();
  let replies = 0;
  for await (const _ of link.events) replies++;
  assert.equal(replies, 1);
});

test("a peer's refusal reaches the replies and every later send", async () => {
  const why = 'bundle sha256:abc here, sha256:def there';
  await using pair = await startPair({
    async passes() {
      throw new RondoError('BUNDLE_MISMATCH', why);
    },
  });
  const link = pair.client.openPasses({ ...hello, bundleDigest: 'sha256:def' });
  const refused = { code: 'BUNDLE_MISMATCH', message: why };
  await assert.rejects(async () => {
    for await (const _ of link.events);
  }, refused);
  await assert.rejects(link.send(microbatch({})), refused);
});

test('a hello of another revision is refused and says why', async () => {
  let entered = false;
  await using pair = await startPair({
    async passes() {
      entered = true;
    },
  });
  const link = pair.client.openPasses({ ...hello, protocolRevision: 99 });
  await assert.rejects(link.events[Symbol.asyncIterator]().next(), {
    code: 'PROTOCOL_MISMATCH',
    message: /worker w-2 speaks protocol revision 99, this process \d+/,
  });
  assert.equal(entered, false);
});

test('a malformed frame fails the handler and ends the stream with what was wrong', async () => {
  const thrown = Promise.withResolvers<RondoError>();
  await using pair = await startPair({
    async passes(_hello, frames) {
      try {
        for await (const _ of frames);
      } catch (error) {
        thrown.resolve(RondoError.from(error));
        throw error;
      }
    },
  });
  const raw = new Client(pair.server.address, credentials.createInsecure());
  const call = raw.makeBidiStreamRequest<Buffer, Buffer>(workerService.passes.path, asIs, asIs);
  call.write(helloFrame.encode(hello));
  call.write(passesFrame.encode(microbatch({})));
  call.write(Buffer.from([255]));
  const error = await new Promise((resolve) => call.resume().on('error', resolve));
  assert.equal(fromStatus(error, pair.server.address).code, 'PROTOCOL_MISMATCH');
  assert.match((await thrown.promise).message, /malformed PassesRequest/);
  raw.close();
});

test('frames end when the peer closes its link and when it is gone', async () => {
  const ended = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  let streams = 0;
  await using pair = await startPair({
    async passes(_hello, frames, reply) {
      const end = ended[streams++];
      reply({ type: 'stage-opened', sequenceId: id, epoch: 1 });
      try {
        for await (const _ of frames);
        end?.resolve('ended');
      } catch (error) {
        end?.reject(error);
      }
    },
  });
  const orderly = pair.client.openPasses(hello);
  orderly.close();
  for await (const _ of orderly.events);
  assert.equal(await ended[0]?.promise, 'ended');
  const abrupt = pair.client.openPasses(hello);
  const events = abrupt.events[Symbol.asyncIterator]();
  await events.next();
  const cancelled = assert.rejects(events.next(), { code: 'CANCELLED' });
  pair.client.close();
  await cancelled;
  assert.equal(await ended[1]?.promise, 'ended');
});

test('frames end also for a handler that was busy when its peer went away', async () => {
  const gate = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  await using pair = await startPair({
    async passes(_hello, frames, reply) {
      reply({ type: 'stage-opened', sequenceId: id, epoch: 1 });
      await gate.promise;
      try {
        for await (const _ of frames);
        ended.resolve();
      } catch (error) {
        ended.reject(error);
      }
    },
  });
  const raw = new Client(pair.server.address, credentials.createInsecure());
  // Answered on the same connection, so whatever was sent before has arrived by then.
  const arrival = () =>
    new Promise((resolve) =>
      raw.makeUnaryRequest(workerService.describe.path, asIs, asIs, Buffer.alloc(0), resolve),
    );
  const call = raw.makeBidiStreamRequest<Buffer, Buffer>(workerService.passes.path, asIs, asIs);
  call.on('error', () => {});
  call.write(helloFrame.encode(hello));
  call.write(passesFrame.encode(microbatch({})));
  await once(call, 'data');
  await arrival();
  call.cancel();
  await arrival();
  gate.resolve();
  await ended.promise;
  raw.close();
});

test('a peer that does not read its replies is not read from without end', async () => {
  let replied = 0;
  const error = new RondoError('INTERNAL', 'x'.repeat(2000));
  await using pair = await startPair({
    async passes(_hello, frames, reply) {
      for await (const _ of frames) {
        replied++;
        reply({ type: 'stage-failed', sequenceId: id, epoch: 3, error });
      }
    },
  });
  const link = pair.client.openPasses(hello);
  const replies = link.events[Symbol.asyncIterator]();
  const first = replies.next();
  for (let sent = 0; sent < 1000; sent++) await link.send({ type: 'close-stage', sequenceId: id, epoch: 3 });
  link.close();
  await first;
  for (let before = -1; before !== replied; ) {
    before = replied;
    await pair.client.describe();
  }
  assert.ok(replied < 300, `${replied} replies wait for a reader`);
  let read = 1;
  while ((await replies.next()).done !== true) read++;
  assert.equal(read, 1000);
});

test('a state may be reused as soon as its frame was handed over', async () => {
  const seen: number[] = [];
  await using pair = await startPair({
    async passes(_hello, frames) {
      for await (const frame of frames) {
        if (frame.type === 'microbatch') seen.push(...(frame.chunks[0]?.state ?? []));
      }
    },
  });
  const link = pair.client.openPasses(hello);
  const state = Float32Array.of(1, 2);
  const sent = link.send(microbatch({ state }));
  state.fill(0);
  await sent;
  link.close();
  for await (const _ of link.events);
  assert.deepEqual(seen, [1, 2]);
});

test('leaving the loop over the replies gives up the link on both ends', async () => {
  const ended = Promise.withResolvers<string>();
  await using pair = await startPair({
    async passes(_hello, frames, reply) {
      reply({ type: 'stage-opened', sequenceId: id, epoch: 1 });
      for await (const _ of frames);
      ended.resolve('ended');
    },
  });
  const link = pair.client.openPasses(hello);
  for await (const _ of link.events) break;
  await assert.rejects(link.send(microbatch({})), { code: 'CANCELLED', message: /is closed/ });
  assert.equal(await ended.promise, 'ended');
});

test('a peer that ends the stream on its own is lost to the sender', async () => {
  await using pair = await startPair({ async passes() {} });
  const link = pair.client.openPasses(hello);
  const lost = { code: 'WORKER_LOST' };
  await assert.rejects(link.events[Symbol.asyncIterator]().next(), lost);
  await assert.rejects(link.send(microbatch({})), lost);
});

test('a server that stops ends the stream, also for a sender that waits for it to take more', async () => {
  const release = Promise.withResolvers<void>();
  const pair = await startPair({
    passes: () => release.promise,
  });
  const rows = rowsPerFrame(1024);
  const frame = microbatch({ rows, state: new Float32Array(rows * 1024) });
  const link = pair.client.openPasses(hello);
  let sent = 0;
  const sending = (async () => {
    for (;;) {
      await link.send(frame);
      sent++;
    }
  })();
  const lost = assert.rejects(sending, { code: 'WORKER_LOST', message: /is stopping/ });
  // Round trips in which the sender moves on show that it does not wait yet.
  for (let before = -1; before !== sent; ) {
    before = sent;
    await pair.client.describe();
  }
  const closed = pair.server.close({ graceMs: 0 });
  await lost;
  release.resolve();
  await closed;
  pair.client.close();
});
