import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, ManualClock, RondoError, workerId } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import { testCoordinator } from './test-coordinator.ts';
import { setUp } from './test-generation.ts';
import { ScriptedWorker } from './test-worker.ts';

const reply = () => [10, 11, 12, 13];
const impossible = (event: GenerateStreamEvent): GenerateStreamEvent[] =>
  event.type === 'token' ? [{ ...event, passes: 99 }] : [event];

/** A worker that lies while `lying` says so, and is preferred to all others where nothing tells against it. */
function liar() {
  const state = { lying: true };
  const worker = new ScriptedWorker({
    id: 'a',
    reply,
    tamper: (event) => (state.lying ? impossible(event) : [event]),
  });
  return { state, worker };
}

async function liarAndOther(context: Parameters<typeof setUp>[0]) {
  const clock = new ManualClock();
  const { state, worker } = liar();
  const other = new ScriptedWorker({ id: 'b', reply });
  const set = await setUp(context, { 'a:1': worker, 'b:1': other }, { clock });
  let sequences = 0;
  /** Runs one sequence once every worker may be given one; returns which had it. */
  const placed = async (): Promise<string[]> => {
    while (set.membership.view().some((member) => member.state !== 'serving'))
      await set.membership.nextChange();
    const before = [worker.specs.length, other.specs.length];
    await Array.fromAsync(set.run(`s${sequences++}`));
    return [
      ...(worker.specs.length > before[0]! ? ['a'] : []),
      ...(other.specs.length > before[1]! ? ['b'] : []),
    ];
  };
  return { clock, state, placed, ...set };
}

test('a worker that contradicted is given no new sequence until its pause is over, and is trusted once one ended well', async (context) => {
  const { clock, state, placed, membership, metrics } = await liarAndOther(context);
  assert.deepEqual(await placed(), ['a', 'b']);
  assert.match(await metrics.render(), /rondo_contradictions_total 1\n/);
  assert.deepEqual(membership.distrust(workerId('a')), { faults: 1, shunnedMs: LIMITS.shunMs });
  assert.deepEqual(await placed(), ['b']);
  clock.advance(LIMITS.shunMs);
  state.lying = false;
  assert.deepEqual(await placed(), ['a']);
  assert.equal(membership.distrust(workerId('a')), undefined);
});

test('a worker that goes on lying is tried ever less often', async (context) => {
  const { clock, placed, membership } = await liarAndOther(context);
  for (let fault = 1; fault <= 3; fault++) {
    assert.deepEqual(await placed(), ['a', 'b']);
    const { faults, shunnedMs } = membership.distrust(workerId('a'))!;
    assert.deepEqual([faults, shunnedMs], [fault, LIMITS.shunMs * 2 ** (fault - 1)]);
    clock.advance(shunnedMs - 1);
    assert.deepEqual(await placed(), ['b']);
    clock.advance(1);
  }
});

test('a shunned worker is better than none', async (context) => {
  const { state, worker } = liar();
  const { run, membership } = await setUp(context, { 'a:1': worker });
  await assert.rejects(Array.fromAsync(run('lied to')), { code: 'WORKER_FAULTY' });
  state.lying = false;
  assert.ok(membership.shunned.has(workerId('a')));
  assert.equal((await Array.fromAsync(run('well'))).at(-1)?.type, 'finished');
});

test('a worker whose messages are badly formed is shunned like one whose words are impossible', async (context) => {
  const worker = new ScriptedWorker({
    id: 'a',
    reply,
    tamper: () => {
      throw new RondoError('PROTOCOL_MISMATCH', 'bytes that are no message');
    },
  });
  const { run, membership } = await setUp(context, {
    'a:1': worker,
    'b:1': new ScriptedWorker({ id: 'b', reply }),
  });
  await Array.fromAsync(run('s'));
  assert.equal(membership.distrust(workerId('a'))?.faults, 1);
});

test('health, the console and a metric tell whom the coordinator distrusts', async (context) => {
  const { worker } = liar();
  const { post, get, url } = await testCoordinator(context, { workers: { 'a:1': worker } });
  await post('/v1/completions', { model: 'tiny', prompt: 'a', max_tokens: 3 });
  const { body } = await get('/health');
  assert.equal(body.workers[0].distrust.faults, 1);
  assert.ok(body.workers[0].distrust.shunnedMs > 0);
  assert.match(String((await get('/metrics')).body), /rondo_workers_distrusted\{model="tiny"\} 1/);
  const live = await fetch(`${url}/console/live`);
  const reader = live.body!.getReader();
  const { value } = await reader.read();
  assert.equal(JSON.parse(new TextDecoder().decode(value).slice('data: '.length)).workers[0].faults, 1);
  await reader.cancel();
});
