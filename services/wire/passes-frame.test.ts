import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, RondoError, sequenceId } from '@rondo/core';
import { helloFrame } from './hello.ts';
import { type MicrobatchChunk, rowsPerFrame } from './microbatch.ts';
import { type PassesFrame, passesFrame } from './passes-frame.ts';
import { type PassesReply, passesReply } from './passes-reply.ts';
import { messageTypes } from './proto.ts';
import { mismatch } from './test-codec.ts';
import { hello, route, runs, spec } from './test-samples.ts';

const chunk = (rows: number, hidden: number, fill = 1): MicrobatchChunk => ({
  sequenceId: sequenceId(`seq-${fill}`),
  epoch: 2,
  kind: 'live',
  depth: 1,
  start: 40,
  rows,
  rest: 0,
  survival: 1,
  state: new Float32Array(rows * hidden).fill(fill),
});

test('every frame survives the wire', () => {
  const id = sequenceId('seq-1');
  const frames: PassesFrame[] = [
    {
      type: 'open-stage',
      sequenceId: id,
      route,
      positions: 300,
      exit: spec.exit,
      promptRows: 17,
      promptStates: true,
      background: true,
    },
    {
      type: 'open-stage',
      sequenceId: id,
      route,
      positions: 300,
      exit: spec.exit,
      promptRows: 17,
      promptStates: false,
      background: true,
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      tellRuns: true,
    },
    { type: 'microbatch', chunks: [chunk(1, 8), chunk(3, 8, 2)] },
    { type: 'microbatch', chunks: [{ ...chunk(1, 8), kind: 'exited', rest: 5, survival: 1 / 3 }] },
    {
      type: 'microbatch',
      chunks: [
        { ...chunk(1, 8), kind: 'skipped' },
        { ...chunk(1, 8), kind: 'owed' },
      ],
    },
    { type: 'ping' },
    { type: 'microbatch', chunks: [chunk(2, 4)], ping: true },
    { type: 'microbatch', chunks: [{ ...chunk(2, 4), told: { runs, dropped: 2 } }] },
    { type: 'close-stage', sequenceId: id, epoch: 3 },
  ];
  for (const frame of frames) assert.deepEqual(passesFrame.decode(passesFrame.encode(frame)), frame);
  for (const greeting of [hello, { ...hello, activations: 'f16' as const }])
    assert.deepEqual(helloFrame.decode(helloFrame.encode(greeting)), greeting);
});

test('a frame takes as many runs along as it may, and counts the others', () => {
  const many = Array.from({ length: LIMITS.frameRuns - 1 }, () => runs[1]!);
  const chunks = [
    { ...chunk(1, 4), told: { runs: many, dropped: 0 } },
    { ...chunk(1, 4), told: { runs, dropped: 5 } },
  ];
  const arrived = passesFrame.decode(passesFrame.encode({ type: 'microbatch', chunks }));
  assert.ok(arrived.type === 'microbatch');
  assert.deepEqual(
    arrived.chunks.map(({ told }) => [told?.runs.length, told?.dropped]),
    [
      [LIMITS.frameRuns - 1, 0],
      [1, 5 + runs.length - 1],
    ],
  );
});

test('every reply survives the wire, errors with code and param', () => {
  const id = sequenceId('seq-1');
  const opened: PassesReply = { type: 'stage-opened', sequenceId: id, epoch: 3 };
  for (const plain of [opened, { type: 'credit', rows: 300 }, { type: 'pong' }] as const)
    assert.deepEqual(passesReply.decode(passesReply.encode(plain)), plain);
  const error = new RondoError('KV_EXHAUSTED', 'no pages – sorry', { param: 'max_tokens' });
  const reply = passesReply.decode(
    passesReply.encode({ type: 'stage-failed', sequenceId: id, epoch: 3, error }),
  );
  assert.equal(reply.type, 'stage-failed');
  assert.ok(reply.type === 'stage-failed');
  assert.deepEqual(
    [reply.sequenceId, reply.epoch, reply.error.code, reply.error.message, reply.error.param],
    [id, 3, 'KV_EXHAUSTED', 'no pages – sorry', 'max_tokens'],
  );
});

test('an error code that only a newer peer knows becomes INTERNAL and keeps its message', () => {
  const error = { code: 'SOLAR_FLARE', message: 'flare', param: '' };
  const bytes = messageTypes.passesResponse.encode({ stageFailed: { sequenceId: 's', epoch: 1, error } });
  const reply = passesReply.decode(bytes);
  assert.ok(reply.type === 'stage-failed');
  assert.deepEqual(
    [reply.error.code, reply.error.message, reply.error.param],
    ['INTERNAL', 'flare', undefined],
  );
});

test('as many rows as rowsPerFrame says fit one frame, whatever the hidden size', () => {
  for (const activations of ['f32', 'f16'] as const) {
    for (const hidden of [8, 576, 2048, 40_000]) {
      const chunks = Array.from({ length: rowsPerFrame(hidden, activations) }, () => chunk(1, hidden));
      const wide = chunks.map((one) => ({ ...one, sequenceId: sequenceId('s'.repeat(96)), start: 100_000 }));
      if (hidden <= LIMITS.frameBytes / 4)
        passesFrame.encode({ type: 'microbatch', chunks: wide }, activations);
      assert.ok(chunks.length >= 1 && chunks.length <= LIMITS.stepRowsMax);
    }
  }
  assert.equal(rowsPerFrame(2048, 'f16'), 2 * rowsPerFrame(2048));
});

test('a frame above the limit is refused on both ends', () => {
  assert.throws(() => passesFrame.encode({ type: 'microbatch', chunks: [chunk(80, 1024)] }), {
    code: 'INTERNAL',
    message: /frame of \d+ bytes, allowed are \d+: send fewer rows/,
  });
  assert.throws(() => passesFrame.decode(Buffer.alloc(300_000)), mismatch(/frame of 300000 bytes/));
});

test('chunks that do not hold rows of one size are refused before they are sent', () => {
  const refused = (...chunks: MicrobatchChunk[]) =>
    assert.throws(() => passesFrame.encode({ type: 'microbatch', chunks }), { code: 'INTERNAL' });
  refused();
  refused({ ...chunk(2, 4), state: new Float32Array(7) });
  refused(chunk(1, 4), chunk(1, 8));
  refused({ ...chunk(1, 4), rows: 0 });
  refused({ ...chunk(1, 4), state: new Float32Array(0) });
  refused({ ...chunk(1, 4), start: -1 });
});

test('a microbatch whose sizes disagree is refused', () => {
  const type = messageTypes.passesRequest;
  const bytes = passesFrame.encode({ type: 'microbatch', chunks: [chunk(1, 4), chunk(2, 4)] });
  const { microbatch } = type.decode(bytes);
  const decode = (change: object) => () =>
    passesFrame.decode(type.encode({ microbatch: { ...microbatch!, ...change } }));
  assert.equal(decode({})().type, 'microbatch');
  assert.throws(decode({ chunkRows: [1, 1] }), mismatch(/2 rows, its state 3/));
  assert.throws(decode({ chunkRows: [3, 0] }), mismatch(/no rows/));
  for (const column of ['chunkDepth', 'chunkKind', 'chunkSurvival', 'chunkRest'])
    assert.throws(decode({ [column]: [1] }), mismatch(/differ in length/));
  assert.throws(decode({ chunkKind: [1, 0] }), mismatch(/ChunkKind: it is unspecified/));
  assert.throws(decode({ state: { ...microbatch!.state!, dims: [3, 5] } }), mismatch(/Tensor/));
  assert.throws(decode({ state: null }), mismatch(/state is missing/));
  assert.throws(decode({ chunkSequenceId: ['a', ''] }), mismatch(/chunk_sequence_id/));
});

test('the first frame must be a hello of our revision, and only the first', () => {
  assert.throws(() => passesFrame.decode(helloFrame.encode(hello)), mismatch(/second hello/));
  assert.throws(() => passesFrame.decode(Buffer.alloc(0)), mismatch(/no frame/));
  const close: PassesFrame = { type: 'close-stage', sequenceId: sequenceId('s'), epoch: 1 };
  assert.throws(() => helloFrame.decode(passesFrame.encode(close)), mismatch(/hello is missing/));
  assert.throws(
    () => helloFrame.decode(helloFrame.encode({ ...hello, protocolRevision: 9 })),
    mismatch(/worker w-2 speaks protocol revision 9, this process \d+: run the same Rondo version on both/),
  );
});
