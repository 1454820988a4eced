import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type GenerateSpec, LIMITS, ManualClock, RondoError } from '@rondo/core';
import { bundle, request, setUp, tokenIds } from './test-generation.ts';
import { ScriptedWorker } from './test-worker.ts';

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

test('a sequence that a living worker fails over stages goes on whole: nobody knows whose fault it was', async (context) => {
  const specs: GenerateSpec[] = [];
  const reply = (spec: GenerateSpec) => {
    specs.push(spec);
    if (specs.length === 1) throw new RondoError('INVALID_REQUEST', 'rows have no place');
    return [10, 11, 12, 13];
  };
  const workers = ['a', 'b', 'c'].map((id) => [`${id}:1`, new ScriptedWorker({ id, reply })] as const);
  const { run } = await setUp(context, Object.fromEntries(workers));
  const events = await Array.fromAsync(run('s', undefined, { ...request, placement: 'staged' }));
  assert.deepEqual(tokenIds(events), [10, 11, 12, 13]);
  const [first, second] = specs.map(({ route }) => route);
  assert.deepEqual([first!.stages.length, second!.stages.length], [3, 1]);
  assert.notEqual(second!.home.id, first!.home.id);
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
