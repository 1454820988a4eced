import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { LIMITS } from '@rondo/core';
import { messageTypes, workerService } from './proto.ts';
import { startPair } from './test-samples.ts';

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
