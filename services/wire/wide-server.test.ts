import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { startPair } from './test-samples.ts';

test('a caller may send a window of frames on a stream and on its connection before any is read', async () => {
  await using pair = await startPair({});
  const session = connect(`http://${pair.server.address}`);
  try {
    const [settings] = await once(session, 'remoteSettings');
    assert.equal(settings.initialWindowSize, LIMITS.receiveWindowBytes);
    assert.equal(settings.maxConcurrentStreams, LIMITS.grpcCallsMax);
    // Its answer comes after whatever the server said at once.
    await new Promise((resolve) => session.ping(resolve));
    assert.equal(session.state.remoteWindowSize, LIMITS.receiveWindowBytes);
    assert.ok(LIMITS.receiveWindowBytes >= 2 * LIMITS.frameBytes);
  } finally {
    session.destroy();
  }
});
