import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, sequenceId, workerId } from '@rondo/core';
import type { Hello, MicrobatchChunk, PassesFrame, PassesReply } from '@rondo/wire';
import type { KvPools } from './kv-pools.ts';
import { StageHost } from './stage-host.ts';
import { Tenants } from './tenants.ts';

const HELLO = { workerId: workerId('peer'), bundleDigest: 'd', activations: 'f32' } as Hello;

const chunkOf = (rows: number): MicrobatchChunk => ({
  ...{ sequenceId: sequenceId('00000000-0000-4000-8000-000000000000'), epoch: 1, kind: 'live' },
  ...{ depth: 0, start: 0, rows, rest: 0, survival: 1, state: new Float32Array(rows) },
});

/** A host whose inbox is as full as the test says, and a link to it. */
function hosting() {
  const state = { room: true, stale: 0 };
  const host = new StageHost({
    ...{ self: 'here', bundleDigest: 'd', activations: 'f32', context: 8 },
    tenants: new Tenants(),
    pools: {} as KvPools,
    draining: () => false,
    room: () => state.room,
    arrive: () => assert.fail('nobody lives here'),
    closed: () => {},
    refused: () => {},
    stale: () => state.stale++,
  });
  const grants: number[] = [];
  const reply = (told: PassesReply) => {
    if (told.type === 'credit') grants.push(told.rows);
  };
  const serve = (frames: readonly PassesFrame[], between?: (at: number) => void) => {
    async function* link() {
      for (const [at, frame] of frames.entries()) {
        yield frame;
        between?.(at);
      }
    }
    return host.serve(HELLO, link(), reply);
  };
  return { host, state, grants, serve };
}

const rowsFrame = (rows: number): PassesFrame =>
  ({ type: 'microbatch', chunks: [chunkOf(rows)] }) as PassesFrame;

test('a full inbox grants its links nothing until it has room again, and then all they sent', async () => {
  const { host, state, grants, serve } = hosting();
  const half = LIMITS.linkCreditRows / 2;
  await serve([rowsFrame(half), rowsFrame(half)], (at) => {
    if (at === 0) {
      assert.deepEqual(grants, [LIMITS.linkCreditRows, half], 'with room they are granted as they come');
      state.room = false;
      return;
    }
    host.roomAgain();
    assert.deepEqual(grants, [LIMITS.linkCreditRows, half], 'still full');
    state.room = true;
    host.roomAgain();
    assert.deepEqual(grants, [LIMITS.linkCreditRows, half, half]);
  });
  assert.equal(state.stale, 2);
});

test('a link that has ended is granted nothing more', async () => {
  const { host, state, grants, serve } = hosting();
  state.room = false;
  await serve([rowsFrame(LIMITS.linkCreditRows)]);
  state.room = true;
  host.roomAgain();
  assert.deepEqual(grants, [LIMITS.linkCreditRows]);
});

test('who sends more rows than were granted is cut off', async () => {
  const { serve } = hosting();
  await assert.rejects(serve([rowsFrame(LIMITS.linkCreditRows + 1)]), { code: 'PROTOCOL_MISMATCH' });
});
