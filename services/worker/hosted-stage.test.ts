import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { LIMITS, sequenceId } from '@rondo/core';
import { whenEmpty } from './test-cluster.ts';
import { TestFleet } from './test-fleet.ts';
import { idleStage } from './test-idle-stage.ts';
import type { TestShape } from './test-model.ts';
import { TestPeer } from './test-peer.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 4 };

const fleet = new TestFleet();
after(() => fleet.stopAll());

test('a peer that sends more rows than were granted is cut off', async () => {
  const peer = new TestPeer(await fleet.start(SHAPE), SHAPE.maxDepth);
  await peer.sends({ sequenceId: sequenceId('who'), rows: LIMITS.linkCreditRows + 1 });
  assert.equal((await peer.reply())?.type, 'credit');
  await assert.rejects(peer.reply(), {
    code: 'PROTOCOL_MISMATCH',
    message: /worker elsewhere sent 1025 rows with 1024 granted/,
  });
  peer.close();
});

test('of a prompt chunk only the last row comes home from the last stage, unless its home needs all of them', async () => {
  const shape: TestShape = { prelude: 0, coda: 0, maxDepth: 4 };
  const worker = await fleet.start(shape);
  const home = await idleStage(100);
  const peer = new TestPeer(worker, shape.maxDepth, home.ref);
  for (const [promptStates, rows] of [
    [false, 1],
    [true, 4],
  ] as const) {
    await peer.sends({ sequenceId: await peer.opens({ promptStates }), rows: 3 });
    await home.reaches(rows);
  }
  assert.deepEqual(
    home.seen.map(({ start, rows, depth }) => [start, rows, depth]),
    [
      [2, 1, 4],
      [0, 3, 4],
    ],
  );
  peer.leaves();
  await whenEmpty(worker);
  peer.close();
  await home.close();
});

test('rows of unknown sequences and old epochs are dropped and counted', async () => {
  const worker = await fleet.start(SHAPE, { name: 'wren' });
  const peer = new TestPeer(worker, SHAPE.maxDepth);
  const sequence = await peer.opens({ epoch: 5 });
  assert.deepEqual(await peer.reply(), { type: 'credit', rows: LIMITS.linkCreditRows });
  assert.equal((await peer.reply())?.type, 'stage-opened');
  await peer.sends({ sequenceId: sequence, epoch: 4 }, { sequenceId: sequenceId('who'), epoch: 5 });
  // Of the right epoch but out of order: that is refused loudly.
  await peer.sends({ sequenceId: sequence, epoch: 5, start: 3 });
  const reply = await peer.reply();
  assert.ok(reply?.type === 'stage-failed');
  assert.match(reply.error.message, /position 3 came while 0 positions were written/);
  assert.match(await worker.metrics.render(), /rondo_stale_chunks_total\{worker="wren"\} 2\b/);
  await peer.opens({ sequenceId: sequence, epoch: 6 });
  assert.equal((await peer.reply())?.type, 'stage-opened');
  peer.leaves();
  await whenEmpty(worker);
  peer.close();
});

test('a sequence that breaks the order leaves the run with all of its rows, and the others in it stay', async () => {
  const worker = await fleet.start(SHAPE);
  const peer = new TestPeer(worker, SHAPE.maxDepth);
  assert.equal((await peer.reply())?.type, 'credit');
  // A run takes as many decoding rows as there are sequences.
  const [wrong, other] = [await peer.opens(), await peer.opens(), await peer.opens()];
  for (let opened = 0; opened < 3; opened++) assert.equal((await peer.reply())?.type, 'stage-opened');
  await peer.sends(
    { sequenceId: other, depth: 3 },
    { sequenceId: wrong, depth: 1 },
    { sequenceId: wrong, start: 3 },
  );
  const reply = await peer.reply();
  assert.ok(reply?.type === 'stage-failed' && reply.sequenceId === wrong);
  peer.leaves();
  await whenEmpty(worker);
  assert.deepEqual(
    worker.engine.batches.map(({ depths }) => [...depths]),
    [[3]],
  );
  peer.close();
});
