import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { test } from 'node:test';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { address, LIMITS } from '@rondo/core';
import { messageTypes, workerService } from './proto.ts';
import { description, startPair } from './test-samples.ts';
import { connectWorker } from './worker-client.ts';
import { serveWorker } from './worker-server.ts';

const asIs = (bytes: Buffer): Buffer => bytes;

/** Opens a stream of passes, sends `first` if there is one, and returns what the worker ends it with. */
async function endOf(target: string, first?: Buffer): Promise<ServiceError> {
  const client = new Client(target, credentials.createInsecure());
  try {
    const call = client.makeBidiStreamRequest(workerService.passes.path, asIs, asIs);
    if (first) call.write(first);
    call.resume();
    const [error] = await once(call, 'error').catch((thrown: unknown) => [thrown]);
    return error as ServiceError;
  } finally {
    client.close();
  }
}

test('a stream of passes that stays silent is ended, and its handler never runs', async () => {
  let served = 0;
  await using pair = await startPair({
    async passes() {
      served++;
    },
  });
  assert.match((await endOf(pair.server.address)).details, /no hello within 5000 ms/);
  assert.equal(served, 0);
});

test('a first frame that is larger than a hello, or none, is refused', async () => {
  await using pair = await startPair({});
  const hello = { protocolRevision: 1, bundleDigest: 'x'.repeat(LIMITS.helloBytes), workerId: 'w' };
  const large = messageTypes.passesRequest.encode({ hello } as never);
  assert.match((await endOf(pair.server.address, large)).details, /a hello of \d+ bytes, allowed are 4096/);
  const other = messageTypes.passesRequest.encode({ closeStage: { sequenceId: 's', epoch: 1 } } as never);
  assert.match((await endOf(pair.server.address, other)).details, /hello/);
});

test('a connection carries a bounded number of calls at once', async () => {
  await using pair = await startPair({});
  const session = connect(`http://${pair.server.address}`);
  const [settings] = await once(session, 'remoteSettings');
  session.destroy();
  assert.equal(settings.maxConcurrentStreams, LIMITS.grpcCallsMax);
});

test('a connection too many is closed at once, and its place is free when another leaves', async (context) => {
  let refused = 0;
  const handlers = {
    describe: () => description,
    async *watch() {},
    async *generate() {},
    async passes() {},
  };
  const server = await serveWorker(address('127.0.0.1:0'), handlers, {
    connectionsMax: 2,
    refused: () => refused++,
  });
  context.after(() => server.close({ graceMs: 0 }));
  const [host, port] = server.address.split(':');
  const stranger = async (): Promise<Socket> => {
    const socket = connectSocket(Number(port), host);
    await once(socket, 'connect');
    return socket;
  };
  const [first, second] = [await stranger(), await stranger()];
  const third = await stranger();
  await once(third.resume(), 'close');
  assert.equal(refused, 1);
  const client = connectWorker(server.address);
  context.after(() => client.close());
  await assert.rejects(client.describe(), { code: 'WORKER_LOST' });
  assert.ok(refused > 1);
  first.destroy();
  second.destroy();
  let described = await client.describe().catch(() => undefined);
  while (described === undefined) described = await client.describe().catch(() => undefined);
  assert.deepEqual(described, description);
});
