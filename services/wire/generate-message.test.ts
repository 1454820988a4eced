import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { uint32 } from './fields.ts';
import { type GenerateStreamEvent, generateRequest, generateResponse } from './generate-message.ts';
import { messageTypes } from './proto.ts';
import { mismatch, roundTrip } from './test-codec.ts';
import { runs, spec } from './test-samples.ts';

test('a generate spec survives the wire', () => {
  roundTrip(generateRequest, spec);
  const { topLogprobs: _, traceparent: __, tellRuns: ___, ...plain } = spec;
  roundTrip(generateRequest, { ...plain, stopIds: [], maxTokens: 0, promptLogprobs: false });
  for (const policy of ['none', 'gate', 'latent-diff'] as const) {
    roundTrip(generateRequest, { ...spec, exit: { ...spec.exit, policy } });
  }
});

test('every generate event survives the wire', () => {
  const top = [
    { id: 0, logprob: -0.25 },
    { id: 5, logprob: Number.NEGATIVE_INFINITY },
  ];
  const events: GenerateStreamEvent[] = [
    { type: 'opened', epoch: 0, cachedTokens: 0 },
    { type: 'opened', epoch: 1, cachedTokens: 48 },
    { type: 'prompt-logprobs', epoch: 1, first: 1, tokens: [{ id: 3, logprob: -1.5, top }] },
    { type: 'prompt-logprobs', epoch: 1, first: 2, tokens: [] },
    { type: 'token', epoch: 1, index: 0, id: 0, logprob: 0, top: [], passes: 4 },
    { type: 'token', epoch: 1, index: 1, id: 9, logprob: -3, top, passes: 2 },
    { type: 'finished', epoch: 1, reason: 'stop', promptPasses: 0, generatedPasses: 7 },
    { type: 'finished', epoch: 1, reason: 'length', promptPasses: 9, generatedPasses: 7 },
    { type: 'runs', epoch: 1, runs, dropped: 7 },
    { type: 'runs', epoch: 1, runs: [], dropped: 0 },
  ];
  for (const event of events) roundTrip(generateResponse, event);
});

test('runs whose columns are at odds are refused', () => {
  const good = messageTypes.generateResponse.decode(
    generateResponse.encode({ type: 'runs', epoch: 1, runs, dropped: 0 }),
  );
  const decode = (change: object) => () =>
    generateResponse.decode(
      messageTypes.generateResponse.encode({ ...good, runs: { ...good.runs!, ...change } }),
    );
  assert.throws(decode({ start: [1] }), mismatch(/Runs: its arrays differ in length/));
  assert.throws(decode({ stepDepth: [0] }), mismatch(/step_depth is not as long/));
  assert.throws(decode({ worker: [0, 1, 2] }), mismatch(/worker 2 of 2/));
  assert.throws(decode({ phase: [1, 2, 9] }), mismatch(/RunPhase: unknown value 9/));
});

test('a number that is no unsigned 32-bit integer is refused by name instead of wrapped', () => {
  for (const value of [-1, 2 ** 32, 0.5, Number.NaN]) {
    assert.throws(() => uint32(value, 'maxTokens'), { code: 'INTERNAL', message: /maxTokens/ });
    assert.throws(() => generateRequest.encode({ ...spec, promptIds: [value] }), RondoError);
  }
});

test('a request whose parts are missing, unspecified or at odds is refused', () => {
  const good = messageTypes.generateRequest.decode(generateRequest.encode(spec));
  const decode = (change: object) => () =>
    generateRequest.decode(messageTypes.generateRequest.encode({ ...good, ...change }));
  assert.deepEqual(decode({})(), spec);
  assert.throws(decode({ exit: { ...good.exit, policy: 0 } }), mismatch(/ExitPolicy: it is unspecified/));
  assert.throws(decode({ exit: { ...good.exit, policy: 77 } }), mismatch(/unknown value 77/));
  assert.throws(decode({ exit: null }), mismatch(/exit is missing/));
  assert.throws(decode({ sampling: null }), mismatch(/sampling is missing/));
  assert.throws(decode({ sampling: { ...good.sampling, logitBiasId: [1] } }), mismatch(/logit_bias/));
  assert.throws(decode({ route: null }), mismatch(/route is missing/));
  assert.throws(decode({ route: { ...good.route, home: null } }), mismatch(/home is missing/));
  assert.throws(decode({ route: { ...good.route, stages: [] } }), mismatch(/no stage/));
  assert.throws(
    decode({ route: { ...good.route, stages: good.route?.stages.slice(1) } }),
    mismatch(/depths 2/),
  );
  assert.throws(decode({ promptIds: [] }), mismatch(/prompt_ids/));
  assert.throws(decode({ sequenceId: '' }), mismatch(/sequence_id/));
  assert.throws(
    decode({ protocolRevision: 99 }),
    mismatch(/the caller speaks protocol revision 99, this process \d+/),
  );
});

test('bytes that are no request are refused by name', () => {
  assert.throws(() => generateRequest.decode(Buffer.from([255, 255, 255])), mismatch(/GenerateRequest/));
});

test('an event of a newer peer, or none, is refused', () => {
  const { generateResponse: type } = messageTypes;
  assert.throws(() => generateResponse.decode(type.encode({ epoch: 1 })), mismatch(/no event/));
  const finished = { reason: 0, promptPasses: 1, generatedPasses: 1 };
  assert.throws(() => generateResponse.decode(type.encode({ epoch: 1, finished })), mismatch(/FinishReason/));
});

test('a message above the limit is refused before it is sent', () => {
  const promptIds = new Array<number>(1_500_000).fill(100_000);
  assert.throws(() => generateRequest.encode({ ...spec, promptIds }), {
    code: 'BODY_TOO_LARGE',
    message: /GenerateRequest of \d+ bytes exceeds the message limit of 4194304 bytes/,
  });
});
