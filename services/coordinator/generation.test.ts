import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createLog, Metrics } from '@rondo/chassis';
import { address, LIMITS, ManualClock, RondoError, sequenceId, systemClock } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import { Generation, type SequenceRequest, type WhenFull } from './generation.ts';
import { GivenWorkers } from './given-workers.ts';
import { Membership } from './membership.ts';
import type { OpeningOptions } from './opening.ts';
import { SequenceMetrics } from './sequence-metrics.ts';
import { TINY, tinyBundle } from './test-bundle.ts';
import { connectTo, ScriptedWorker } from './test-worker.ts';

const bundle = await tinyBundle();
const request: SequenceRequest = {
  promptIds: [1, 2, 3],
  maxTokens: 4,
  stopIds: [],
  sampling: {
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    seed: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    logitBias: new Map(),
  },
  exit: { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 4 },
  topLogprobs: undefined,
  promptLogprobs: false,
};

async function setUp(
  context: TestContext,
  workers: Record<string, ScriptedWorker>,
  {
    workerWaitMs = 5000,
    clock = systemClock,
    ...waits
  }: Partial<Pick<OpeningOptions, 'workerWaitMs' | 'roomWaitMs' | 'openMs' | 'clock'>> = {},
) {
  const metrics = new Metrics();
  const log = createLog('test', { level: 'silent' });
  const membership = new Membership({ bundle, connect: connectTo(workers), log }, bundle.manifest.maxDepth);
  context.after(() => membership.close());
  const addresses = Object.keys(workers).map(address);
  membership.follow(new GivenWorkers(addresses, [bundle.digest]).of(bundle.digest));
  await membership.joined(addresses, 1000);
  const generation = new Generation({
    membership,
    placement: 'homed',
    bundleDigest: bundle.digest,
    kvPolicy: 'last-exited',
    layersAtHome: true,
    maxDepth: bundle.manifest.maxDepth,
    vocab: TINY.vocab,
    context: TINY.context,
    candidates: bundle.manifest.headCandidates,
    metrics: new SequenceMetrics(metrics),
    clock,
    workerWaitMs,
    ...waits,
  });
  const never = new AbortController().signal;
  const run = (name: string, signal = never, asked = request, whenFull: WhenFull = 'wait') =>
    generation.run(sequenceId(name), asked, signal, whenFull);
  return { run, generation, membership, metrics };
}

test('a sequence that leaves room to others runs in the background, wherever it is recovered', async (context) => {
  const workers = {
    'a:1': new ScriptedWorker({ id: 'a', failAfter: 2 }),
    'b:1': new ScriptedWorker({ id: 'b' }),
  };
  const { run } = await setUp(context, workers);
  await Array.fromAsync(run('behind', undefined, request, 'refuse'));
  const specs = Object.values(workers).flatMap((worker) => worker.specs);
  assert.ok(specs.length > 1, 'it was never recovered');
  assert.deepEqual(new Set(specs.map(({ background }) => background)), new Set([true]));
  await Array.fromAsync(run('before'));
  const [first] = Object.values(workers).flatMap((worker) =>
    worker.specs.filter((spec) => spec.sequenceId === 'before'),
  );
  assert.equal(first!.background, undefined);
});

const tokenIds = (events: readonly GenerateStreamEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'token' ? [event.id] : []));

test('a sequence yields its tokens in order and then how it finished', async (context) => {
  const worker = new ScriptedWorker({ reply: () => [10, 11, 12, 13], cachedTokens: 2 });
  const { run, membership } = await setUp(context, { 'a:1': worker });
  const events = await Array.fromAsync(run('s'));
  assert.deepEqual(events[0], { type: 'opened', epoch: 1, cachedTokens: 2 });
  assert.deepEqual(tokenIds(events), [10, 11, 12, 13]);
  assert.deepEqual(events.at(-1)?.type, 'finished');
  assert.equal(membership.booked, 0);
  assert.equal(membership.view()[0]?.reservedPositions, 0);
});

test('events of another epoch and tokens seen before are dropped and counted', async (context) => {
  const worker = new ScriptedWorker({
    reply: () => [10, 11, 12, 13],
    tamper: (event) =>
      event.type === 'token' ? [{ ...event, epoch: event.epoch + 1, id: 99 }, event, event] : [event],
  });
  const { run, metrics } = await setUp(context, { 'a:1': worker });
  assert.deepEqual(tokenIds(await Array.fromAsync(run('s'))), [10, 11, 12, 13]);
  const text = await metrics.render();
  assert.match(text, /rondo_dropped_events_total\{reason="stale-epoch"\} 4/);
  assert.match(text, /rondo_dropped_events_total\{reason="repeated"\} 4/);
});

/** What a worker may say instead of an event that it should say, when it does not do what it was asked. */
const LIES: Record<string, (event: GenerateStreamEvent) => readonly GenerateStreamEvent[]> = {
  'leaves a token out': (event) => (event.type === 'token' && event.index === 1 ? [] : [event]),
  'opens the sequence twice': (event) => (event.type === 'opened' ? [event, event] : [event]),
  'opens another epoch': (event) => (event.type === 'opened' ? [{ ...event, epoch: 9 }] : [event]),
  'has the whole prompt cached': (event) =>
    event.type === 'opened' ? [{ ...event, cachedTokens: 3 }] : [event],
  'begins without opening': (event) => (event.type === 'opened' ? [] : [event]),
  'says a token that is none': (event) =>
    event.type === 'token' && event.index === 2 ? [{ ...event, id: TINY.vocab }] : [event],
  'says an alternative that is none': (event) =>
    event.type === 'token' ? [{ ...event, top: [{ id: TINY.vocab, logprob: -1 }] }] : [event],
  'spends no pass': (event) => (event.type === 'token' ? [{ ...event, passes: 0 }] : [event]),
  'spends more passes than there are': (event) =>
    event.type === 'token' && event.index === 1 ? [{ ...event, passes: 5 }] : [event],
  'skips passes that nobody let it skip': (event) =>
    event.type === 'token' && event.index === 1 ? [{ ...event, passes: 3 }] : [event],
  'tells no alternatives': (event) => (event.type === 'token' ? [{ ...event, top: [] }] : [event]),
  'tells too many alternatives': (event) =>
    event.type === 'token' ? [{ ...event, top: [...event.top, ...event.top] }] : [event],
  'tells a probability that is no number': (event) =>
    event.type === 'token' ? [{ ...event, logprob: Number.NaN }] : [event],
  'ends at once': (event) => [event, ...(event.type === 'opened' ? [END] : [])],
  'ends before its time': (event) => (event.type === 'token' && event.index === 1 ? [event, END] : [event]),
  'stops without a stop id': (event) =>
    event.type === 'token' ? [event, { ...END, reason: 'stop' }] : [event],
  'goes on after the last token': (event) =>
    event.type === 'token' && event.index === 3 ? [event, { ...event, index: 4 }] : [event],
  'misstates how it ended': (event) => (event.type === 'finished' ? [{ ...event, reason: 'stop' }] : [event]),
  'bills passes that it did not run': (event) =>
    event.type === 'finished' ? [{ ...event, generatedPasses: 99 }] : [event],
  'tells of a prompt that nobody asked about': (event) =>
    event.type === 'token'
      ? [{ type: 'prompt-logprobs', epoch: event.epoch, first: 1, tokens: [] }, event]
      : [event],
};
const END: GenerateStreamEvent = {
  ...({ type: 'finished', epoch: 1, reason: 'length' } as const),
  ...{ promptPasses: 12, generatedPasses: 12 },
};

for (const [lie, tamper] of Object.entries(LIES)) {
  test(`a worker that ${lie} costs the sequence nothing`, async (context) => {
    const reply = () => [10, 11, 12, 13];
    const liar = new ScriptedWorker({ id: 'a', reply, tamper });
    const { run, membership, metrics } = await setUp(context, {
      'a:1': liar,
      'b:1': new ScriptedWorker({ id: 'b', reply }),
    });
    const never = new AbortController().signal;
    const events = await Array.fromAsync(run('s', never, { ...request, topLogprobs: 1 }));
    assert.deepEqual(tokenIds(events), [10, 11, 12, 13]);
    const { type, promptPasses, generatedPasses, reason } = events.at(-1) as Extract<
      GenerateStreamEvent,
      { type: 'finished' }
    >;
    assert.deepEqual([type, reason, promptPasses, generatedPasses], ['finished', 'length', 12, 12]);
    assert.equal(membership.booked, 0);
    assert.match(await metrics.render(), /rondo_contradictions_total 1\n/);
  });
}

test('log probabilities of a prompt are held to the prompt, and all told before the first token', async (context) => {
  type Told = Extract<GenerateStreamEvent, { type: 'prompt-logprobs' }>;
  const lies: ((event: Told) => Told[])[] = [
    () => [],
    (event) => (event.first === 1 ? [event] : []),
    (event) => (event.first === 1 ? [] : [event]),
    (event) => [{ ...event, tokens: event.tokens.map((token) => ({ ...token, id: 7 })) }],
    (event) => [{ ...event, tokens: event.tokens.map((token) => ({ ...token, top: [] })) }],
    (event) => [event, ...(event.first === 1 ? [] : [{ ...event, first: event.first + 1 }])],
  ];
  for (const lie of lies) {
    const liar = new ScriptedWorker({
      id: 'a',
      tamper: (event) => (event.type === 'prompt-logprobs' ? lie(event) : [event]),
    });
    const { run, metrics } = await setUp(context, { 'a:1': liar, 'b:1': new ScriptedWorker({ id: 'b' }) });
    const asked = { ...request, promptLogprobs: true, topLogprobs: 1 };
    const events = await Array.fromAsync(run('s', new AbortController().signal, asked));
    const told = events.flatMap((event) => (event.type === 'prompt-logprobs' ? event.tokens : []));
    assert.deepEqual(
      told.map(({ id }) => id),
      [2, 3],
    );
    assert.equal(tokenIds(events).length, 4);
    assert.match(await metrics.render(), /rondo_recoveries_total\{cause="faulty"\} 1/);
  }
});

test('a sequence that every worker contradicts fails, and says with what', async (context) => {
  const tamper = LIES['says a token that is none']!;
  const { run } = await setUp(context, { 'a:1': new ScriptedWorker({ tamper }) });
  await assert.rejects(Array.fromAsync(run('s')), { code: 'WORKER_FAULTY', message: /id 264/ });
});

test('a sequence whose last token is there has ended, whether its worker says so or not', async (context) => {
  const worker = new ScriptedWorker({
    cachedTokens: 1,
    tamper: (event) => (event.type === 'finished' ? [] : [event]),
  });
  const { run } = await setUp(context, { 'a:1': worker });
  const events = await Array.fromAsync(run('s'));
  assert.deepEqual(events.at(-1), {
    type: 'finished',
    epoch: 1,
    reason: 'length',
    promptPasses: 2 * bundle.manifest.maxDepth,
    generatedPasses: 3 * 4,
  });
  assert.equal(worker.specs.length, 1);
});

test('a sequence whose worker is lost goes on where it was on another, and is billed once', async (context) => {
  const reply = () => [10, 11, 12, 13];
  const first = new ScriptedWorker({ id: 'a', reply, failAfter: 2 });
  const second = new ScriptedWorker({ id: 'b', reply, cachedTokens: 2 });
  const { run, membership, metrics } = await setUp(context, { 'a:1': first, 'b:1': second });
  const events = await Array.fromAsync(run('s'));
  assert.deepEqual(
    events.map((event) => (event.type === 'token' ? event.id : event.type)),
    ['opened', 10, 11, 12, 13, 'finished'],
  );
  assert.deepEqual(second.specs[0]!.emitted, [
    { id: 10, passes: 4 },
    { id: 11, passes: 4 },
  ]);
  assert.ok(second.specs[0]!.route.epoch > first.specs[0]!.route.epoch);
  const end = events.at(-1)!;
  assert.ok(end.type === 'finished');
  assert.deepEqual([end.promptPasses, end.generatedPasses], [3 * bundle.manifest.maxDepth, 3 * 4]);
  assert.equal(membership.booked, 0);
  const text = await metrics.render();
  assert.match(text, /rondo_recoveries_total\{cause="lost"\} 1/);
  // One row of the prompt, for the others were cached, and that of the first token.
  assert.match(text, /rondo_recomputed_tokens_total 2/);
});

test('log probabilities of a prompt are passed on once, wherever the worker is lost', async (context) => {
  for (const lostAt of [0, 1]) {
    let events = 0;
    const first = new ScriptedWorker({
      id: 'a',
      tamper(event) {
        if (event.type === 'prompt-logprobs' && events++ === lostAt)
          throw new RondoError('ENGINE_FAILED', 'gone');
        return [event];
      },
    });
    const { run } = await setUp(context, { 'a:1': first, 'b:1': new ScriptedWorker({ id: 'b' }) });
    const never = new AbortController().signal;
    const asked = { ...request, promptLogprobs: true, topLogprobs: 1 };
    const got = await Array.fromAsync(run('s', never, asked));
    const prompt = got.flatMap((event) => (event.type === 'prompt-logprobs' ? event.tokens : []));
    assert.deepEqual(
      prompt.map(({ id }) => id),
      [2, 3],
    );
    assert.equal(tokenIds(got).length, 4);
  }
});

test('a sequence that its workers die of is given up before it has taken all of them', async (context) => {
  const workers = Object.fromEntries(
    Array.from({ length: LIMITS.lossesMax + 1 }, (_, index) => {
      const worker: ScriptedWorker = new ScriptedWorker({
        id: `w${index}`,
        reply: () => {
          worker.setAway(true);
          return [];
        },
      });
      return [`w${index}:1`, worker];
    }),
  );
  const { run } = await setUp(context, workers);
  await assert.rejects(Array.fromAsync(run('s')), { code: 'WORKER_LOST', message: /4 times in a row/ });
  const asked = Object.values(workers).filter(({ specs }) => specs.length > 0);
  assert.equal(asked.length, LIMITS.lossesMax);
});

test('a sequence that loses more workers than that without a token goes on when they come back', async (context) => {
  let losses = 0;
  const taken = (): number[] => {
    if (losses++ > LIMITS.lossesMax) return [10, 11, 12, 13];
    // One goes while the other comes back.
    const [gone, back] = losses % 2 === 1 ? [first, second] : [second, first];
    gone.setAway(true);
    back.setAway(false);
    return [];
  };
  const first: ScriptedWorker = new ScriptedWorker({ id: 'a', reply: taken });
  const second: ScriptedWorker = new ScriptedWorker({ id: 'b', reply: taken });
  const { run } = await setUp(context, { 'a:1': first, 'b:1': second });
  assert.deepEqual(tokenIds(await Array.fromAsync(run('s'))), [10, 11, 12, 13]);
});

test('a sequence leaves a draining worker between two tokens, and stays when nobody takes it', async (context) => {
  const reply = () => [10, 11, 12, 13];
  const first = new ScriptedWorker({ id: 'a', reply });
  const full = new ScriptedWorker({ id: 'b', reply, positions: 3 });
  const alone = await setUp(context, { 'a:1': first, 'b:1': full });
  const events = alone.run('s');
  await events.next();
  await events.next();
  first.state = 'draining';
  while (alone.membership.view().some(({ worker, state }) => worker.id === 'a' && state === 'serving'))
    await alone.membership.nextChange();
  assert.deepEqual(tokenIds(await Array.fromAsync(events)), [11, 12, 13]);
  assert.equal(full.specs.length, 1, 'it was asked and had no room');

  const [left, taker] = [new ScriptedWorker({ id: 'a', reply }), new ScriptedWorker({ id: 'b', reply })];
  const { run, membership, metrics } = await setUp(context, { 'a:1': left, 'b:1': taker });
  const moving = run('s');
  await moving.next();
  await moving.next();
  left.state = 'draining';
  while (membership.view().some(({ worker, state }) => worker.id === 'a' && state === 'serving'))
    await membership.nextChange();
  assert.deepEqual(tokenIds(await Array.fromAsync(moving)), [11, 12, 13]);
  assert.deepEqual(taker.specs[0]!.emitted, [{ id: 10, passes: 4 }]);
  assert.deepEqual(left.cancelled, ['s']);
  assert.match(await metrics.render(), /rondo_recoveries_total\{cause="drain"\} 1/);
});

test('a sequence leaves a draining worker before that has said anything', async (context) => {
  const reply = () => [10, 11, 12, 13];
  const slow = new ScriptedWorker({ id: 'a', reply, silentAfter: 0 });
  const taker = new ScriptedWorker({ id: 'b', reply });
  const { run, metrics } = await setUp(context, { 'a:1': slow, 'b:1': taker });
  const events = run('s');
  assert.equal((await events.next()).value?.type, 'opened');
  const rest = Array.fromAsync(events);
  assert.deepEqual([slow.specs.length, taker.specs.length], [1, 0]);
  slow.state = 'draining';
  assert.deepEqual(tokenIds(await rest), [10, 11, 12, 13]);
  assert.deepEqual(slow.cancelled, ['s']);
  assert.match(await metrics.render(), /rondo_recoveries_total\{cause="drain"\} 1/);
});

/** Worker `a` says two tokens and no more, then is as `strike` makes it; worker `b` is well. */
async function struck(context: TestContext, strike: (a: ScriptedWorker, clock: ManualClock) => void) {
  const clock = new ManualClock();
  const reply = () => [10, 11, 12, 13];
  const a = new ScriptedWorker({ id: 'a', reply, silentAfter: 2 });
  const set = await setUp(context, { 'a:1': a, 'b:1': new ScriptedWorker({ id: 'b', reply }) }, { clock });
  const events = set.run('s');
  for (let event = 0; event < 3; event++) await events.next();
  const rest = Array.fromAsync(events);
  // By now it waits for the third.
  await setImmediate();
  strike(a, clock);
  assert.deepEqual(tokenIds(await rest), [12, 13]);
  assert.deepEqual(a.cancelled, ['s']);
  assert.match(await set.metrics.render(), /rondo_recoveries_total\{cause="stuck"\} 1/);
  return { a, ...set };
}

test('a sequence leaves a worker whose engine hangs, which is left alone until it moves again', async (context) => {
  const { a, membership } = await struck(context, (worker) => {
    worker.progress = { steps: 9, stillMs: 0, runningMs: LIMITS.stillMs + 1 };
  });
  const inView = () => membership.view().some(({ worker }) => worker.id === 'a');
  assert.ok(!inView());
  a.progress = { steps: 10, stillMs: 0, runningMs: 1 };
  while (!inView()) await membership.nextChange();
});

test('a sequence leaves a worker that pulses and runs nothing', async (context) => {
  await struck(context, (worker, clock) => {
    worker.progress = { steps: 9, stillMs: LIMITS.stillMs + 1, runningMs: 0 };
    clock.advance(LIMITS.stillMs + 1);
  });
});

test('a sequence leaves a worker that runs for others for ever', async (context) => {
  await struck(context, (worker) => {
    // Its first pulse in this wait may come before or after this one.
    const moving = setInterval(() => {
      worker.progress = { ...worker.progress, steps: worker.progress.steps + 10_000 };
    }, 1);
    context.after(() => clearInterval(moving));
  });
});

test('room that sequences of other coordinators hold is waited for only so long', async (context) => {
  const goes = new ScriptedWorker({ id: 'a', silentAfter: 2 });
  const taken = new ScriptedWorker({ id: 'b', heldByOthers: 1000 });
  const { run, membership } = await setUp(context, { 'a:1': goes, 'b:1': taken }, { roomWaitMs: 20 });
  const begun = [run('s'), run('t')];
  for (const events of begun) for (let event = 0; event < 3; event++) await events.next();
  const rests = begun.map((events) => Array.fromAsync(events));
  goes.setAway(true);
  for (const rest of rests) await assert.rejects(rest, { code: 'KV_EXHAUSTED' });
  assert.equal(membership.booked, 0);
});

test('a worker that neither opens a sequence nor refuses it is passed over', async (context) => {
  const mute = new ScriptedWorker({ id: 'a' });
  let cancelled = 0;
  mute.generate = async function* (_, signal) {
    yield* [];
    await once(signal, 'abort');
    cancelled++;
  };
  const { run } = await setUp(
    context,
    { 'a:1': mute, 'b:1': new ScriptedWorker({ id: 'b' }) },
    { openMs: 20 },
  );
  assert.equal(tokenIds(await Array.fromAsync(run('s'))).length, 4);
  assert.equal(cancelled, 1);
});

test('without a worker a sequence waits for one to come', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 2 });
  const { run, membership } = await setUp(context, { 'a:1': worker });
  const events = run('s');
  await events.next();
  await events.next();
  await events.next();
  const rest = Array.fromAsync(events);
  worker.setAway(true);
  while (membership.view().length > 0) await membership.nextChange();
  const fresh = Array.fromAsync(run('t', new AbortController().signal, { ...request, maxTokens: 2 }));
  worker.setSilentAfter(undefined);
  worker.setAway(false);
  assert.equal(tokenIds(await rest).length, 2);
  assert.equal(tokenIds(await fresh).length, 2);
});

test('a worker without room is passed over for one that has', async (context) => {
  const small = new ScriptedWorker({ id: 'a', positions: 3 });
  const large = new ScriptedWorker({ id: 'b', reply: () => [42] });
  const { run } = await setUp(context, { 'a:1': small, 'b:1': large });
  assert.deepEqual(tokenIds(await Array.fromAsync(run('s'))), [42, 42, 42, 42]);
  assert.equal(small.specs.length, 1);
  assert.ok(large.specs[0]!.route.epoch > small.specs[0]!.route.epoch, 'each try has its own epoch');
});

test('when no worker has room and nothing runs, the refusal comes at once', async (context) => {
  const { run } = await setUp(context, { 'a:1': new ScriptedWorker({ positions: 3 }) });
  await assert.rejects(Array.fromAsync(run('s')), { code: 'KV_EXHAUSTED' });
});

test('sequences that find no room wait for others to end, and all get their tokens', async (context) => {
  const worker = new ScriptedWorker({ positions: 14 });
  const { run, membership } = await setUp(context, { 'a:1': worker });
  const all = await Promise.all(Array.from({ length: 8 }, (_, index) => Array.fromAsync(run(`s${index}`))));
  for (const events of all) assert.equal(tokenIds(events).length, 4);
  assert.equal(membership.booked, 0);
});

test('a sequence that is to be refused never waits, nor takes room from those who do', async (context) => {
  const worker = new ScriptedWorker({ positions: 7, silentAfter: 1 });
  const { run, generation, membership } = await setUp(context, { 'a:1': worker });
  const never = new AbortController().signal;
  const refused = (name: string, asked = request) => Array.fromAsync(run(name, never, asked, 'refuse'));
  const first = run('first');
  await first.next();
  await assert.rejects(refused('full'), { code: 'KV_EXHAUSTED' });
  assert.equal(generation.waiting, 0);

  const patient = run('patient');
  const opened = patient.next();
  while (generation.waiting === 0) await membership.nextChange();
  const asked = worker.specs.length;
  // Too long for the first in line is not too long for this one, which must not overtake it all the same.
  await assert.rejects(refused('behind', { ...request, promptIds: [1], maxTokens: 1 }), {
    code: 'OVERLOADED',
  });
  assert.equal(worker.specs.length, asked, 'no worker was asked');
  await first.return();
  assert.equal((await opened).value?.type, 'opened');
  await patient.return();

  worker.setSilentAfter(undefined);
  assert.equal(tokenIds(await refused('roomy')).length, 4);
  worker.setAway(true);
  await assert.rejects(refused('lonely'), { code: 'NO_WORKER' });
});

test('a sequence that was let in is not refused when its worker is lost, but waits like all others', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 1 });
  const { run, membership } = await setUp(context, { 'a:1': worker });
  const events = run('s', new AbortController().signal, request, 'refuse');
  await events.next();
  await events.next();
  const rest = Array.fromAsync(events);
  worker.setAway(true);
  while (membership.view().length > 0) await membership.nextChange();
  worker.setSilentAfter(undefined);
  worker.setAway(false);
  assert.equal(tokenIds(await rest).length, 3);
});

test('a sequence that waits for room ends with its request', async (context) => {
  const worker = new ScriptedWorker({ positions: 7, silentAfter: 1 });
  const { run } = await setUp(context, { 'a:1': worker });
  const first = run('first');
  await first.next();
  const abort = new AbortController();
  const second = Array.fromAsync(run('second', abort.signal));
  abort.abort();
  await assert.rejects(second, { code: 'CANCELLED' });
  await first.return();
});

test('an error that another worker would repeat is not tried again', async (context) => {
  const broken = new ScriptedWorker({ id: 'a' });
  broken.generate = async function* () {
    yield* [];
    throw new RondoError('BUNDLE_MISMATCH', 'another bundle');
  };
  const other = new ScriptedWorker({ id: 'b' });
  const { run } = await setUp(context, { 'a:1': broken, 'b:1': other });
  await assert.rejects(Array.fromAsync(run('s')), { code: 'BUNDLE_MISMATCH' });
  assert.equal(other.specs.length, 0);
});

test('when no worker answers, the error says so', async (context) => {
  const gone = new ScriptedWorker();
  gone.generate = async function* () {
    yield* [];
    throw new RondoError('WORKER_LOST', 'worker a:1 is away');
  };
  const { run } = await setUp(context, { 'a:1': gone }, { workerWaitMs: 20 });
  await assert.rejects(Array.fromAsync(run('s')), { code: 'NO_WORKER', message: /a:1 is away/ });
});

test('leaving the loop cancels the call on the worker', async (context) => {
  const worker = new ScriptedWorker();
  const { run, membership } = await setUp(context, { 'a:1': worker });
  for await (const event of run('s')) if (event.type === 'token') break;
  assert.equal(worker.held, 0);
  assert.equal(membership.booked, 0);
});
