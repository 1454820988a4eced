import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { request, setUp, tokenIds } from './test-generation.ts';
import { ScriptedWorker } from './test-worker.ts';

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

test('a sequence that no worker could ever hold is refused while others run, and holds up nobody', async (context) => {
  const worker = new ScriptedWorker({ positions: 20, silentAfter: 1 });
  const { run, generation } = await setUp(context, { 'a:1': worker });
  const first = run('first');
  await first.next();
  const huge = { ...request, maxTokens: 50 };
  await assert.rejects(Array.fromAsync(run('huge', undefined, huge)), { code: 'KV_EXHAUSTED' });
  assert.equal(generation.waiting, 0);
  await first.return();
});

test('a sequence that waits in line is refused once the worker that could hold it has left', async (context) => {
  const large = new ScriptedWorker({ id: 'a', positions: 60, silentAfter: 1 });
  const small = new ScriptedWorker({ id: 'b', positions: 20, silentAfter: 1 });
  const { run, generation, membership } = await setUp(context, { 'a:1': large, 'b:1': small });
  const long = { ...request, maxTokens: 50 };
  const [one, two] = [run('one', undefined, long), run('two')];
  await one.next();
  await two.next();
  const waits = Array.fromAsync(run('three', undefined, long));
  while (generation.waiting === 0) await membership.nextChange();
  large.setAway(true);
  await assert.rejects(waits, { code: 'KV_EXHAUSTED' });
  await two.return();
  await one.return();
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
  const { run, metrics } = await setUp(context, { 'a:1': gone }, { workerWaitMs: 20 });
  await assert.rejects(Array.fromAsync(run('s')), { code: 'NO_WORKER', message: /a:1 is away/ });
  const left = AbortSignal.abort();
  await assert.rejects(Array.fromAsync(run('t', left)), { code: 'CANCELLED' });
  // An error is counted as what it is, a client that leaves as no error.
  const page = await metrics.render();
  assert.match(page, /^rondo_sequences_ended_total\{reason="NO_WORKER"\} 1$/m);
  assert.match(page, /^rondo_sequences_ended_total\{reason="aborted"\} 1$/m);
});

test('leaving the loop cancels the call on the worker, and counts as a stop with the passes of what was heard', async (context) => {
  const worker = new ScriptedWorker();
  const { run, membership, metrics } = await setUp(context, { 'a:1': worker });
  for await (const event of run('s')) if (event.type === 'token' && event.index === 1) break;
  assert.equal(worker.held, 0);
  assert.equal(membership.booked, 0);
  const page = await metrics.render();
  assert.match(page, /^rondo_sequences_ended_total\{reason="stop"\} 1$/m);
  assert.match(page, /^rondo_passes_total\{kind="prompt"\} 12$/m);
  assert.match(page, /^rondo_passes_total\{kind="generated"\} 4$/m);
});
