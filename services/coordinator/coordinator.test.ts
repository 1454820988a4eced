import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { address, RondoError } from '@rondo/core';
import { type CoordinatorOptions, startCoordinator } from './coordinator.ts';
import type { Roster } from './roster.ts';
import { tinyBundle } from './test-bundle.ts';
import { connectTo, ScriptedWorker } from './test-worker.ts';

const bundle = await tinyBundle();

const start = (workers: Record<string, ScriptedWorker>, changes: Partial<CoordinatorOptions> = {}) =>
  startCoordinator({
    models: [{ name: 'tiny', bundle }],
    workers: Object.keys(workers).map(address),
    listen: address('127.0.0.1:0'),
    placement: 'homed',
    log: createLog('test', { level: 'silent' }),
    metrics: new Metrics(),
    connect: connectTo(workers),
    connectMs: 1,
    ...changes,
  });

const refusal = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RondoError);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  assert.ok(!error.message.includes('\n'), 'one line');
  return true;
};

test('a worker with another bundle is refused, naming both bundles', async () => {
  const good = new ScriptedWorker({ id: 'a' });
  const other = new ScriptedWorker({
    id: 'b',
    describe: { bundleName: 'other', bundleDigest: 'e'.repeat(64) },
  });
  await assert.rejects(
    start({ 'a:1': good, 'b:1': other }),
    refusal('BUNDLE_MISMATCH', /worker b:1 .*'other' \(eeeeeeeeeeee\).*'tiny' \(dddddddddddd\)/),
  );
  assert.ok(good.closed && other.closed, 'no connection stays open');
});

test('a worker of another protocol revision is refused, naming both revisions', async () => {
  const other = new ScriptedWorker({ describe: { protocolRevision: 99 } });
  await assert.rejects(start({ 'a:1': other }), refusal('PROTOCOL_MISMATCH', /revision 99.* \d+;/));
});

test('a worker that stays unreachable ends the start, naming its address and the command', async () => {
  const away = new ScriptedWorker({ describe: new RondoError('WORKER_LOST', 'connection refused') });
  await assert.rejects(start({ 'a:1': away }), refusal('NO_WORKER', /a:1.*rondo worker --listen a:1/));
});

test('a worker that comes up late is waited for', async () => {
  const late = new ScriptedWorker();
  const describe = late.describe.bind(late);
  let asked = 0;
  late.describe = () =>
    asked++ === 0 ? Promise.reject(new RondoError('WORKER_LOST', 'connection refused')) : describe();
  const running = await start({ 'a:1': late }, { connectMs: 60_000 });
  assert.equal(asked, 2);
  await running.stop();
});

test('two addresses of one worker are a mistake', async () => {
  const twin = () => new ScriptedWorker({ id: 'same' });
  await assert.rejects(start({ 'a:1': twin(), 'b:1': twin() }), refusal('CONFIG_INVALID', /same.*a:1.*b:1/));
});

test('a coordinator without workers does not start', async () => {
  await assert.rejects(start({}), refusal('CONFIG_INVALID', /--worker/));
});

test('a taken port is named, and the workers are let go', async (context) => {
  const holder = createServer().listen(0, '127.0.0.1');
  context.after(() => holder.close());
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address() as { port: number };
  const worker = new ScriptedWorker();
  const listen = address(`127.0.0.1:${port}`);
  await assert.rejects(
    start({ 'a:1': worker }, { listen }),
    refusal('CONFIG_INVALID', new RegExp(`127\\.0\\.0\\.1:${port}.*taken`)),
  );
  assert.ok(worker.closed);
});

test('a listen address that is none is refused', async () => {
  for (const text of ['8080', 'localhost', 'localhost:http', 'localhost:70000']) {
    await assert.rejects(
      start({ 'a:1': new ScriptedWorker() }, { listen: address(text) }),
      refusal('CONFIG_INVALID', /host:port/),
    );
  }
});

test('the advertised address of a worker is the one routes name', async () => {
  const workers = {
    'a:1': new ScriptedWorker({ describe: { advertisedAddress: address('10.0.0.5:7600') } }),
  };
  const running = await start(workers);
  const response = await fetch(`${running.url}/health`);
  const { workers: seen } = (await response.json()) as { workers: { address: string }[] };
  assert.equal(seen[0]?.address, '10.0.0.5:7600');
  await running.stop();
});

test('with a roster a coordinator starts without workers, says so, and links who is announced', async () => {
  const worker = new ScriptedWorker({ id: 'late' });
  let announce: Parameters<Roster['subscribe']>[0] = () => {};
  const roster: Roster = {
    subscribe(listener) {
      announce = listener;
      listener([]);
      return () => {};
    },
  };
  const running = await start({}, { roster: { of: () => roster }, connect: connectTo({ 'a:1': worker }) });
  const health = async () => {
    const response = await fetch(`${running.url}/health`);
    return {
      status: response.status,
      body: (await response.json()) as { status: string; workers: unknown[] },
    };
  };
  assert.deepEqual(await health(), { status: 503, body: { status: 'unavailable', workers: [] } });
  announce([{ address: address('a:1'), state: 'serving' }]);
  while ((await health()).status !== 200);
  announce([]);
  assert.equal(
    (await health()).status,
    200,
    'a worker that is there is not dropped for a missing announcement',
  );
  worker.setAway(true);
  while ((await health()).body.workers.length > 0);
  assert.equal((await health()).status, 503);
  await running.stop();
});

test('a worker that is lost is looked for, and one that was restarted at its address is another', async () => {
  const first = new ScriptedWorker({ id: 'first' });
  const second = new ScriptedWorker({ id: 'second' });
  const workers: Record<string, ScriptedWorker> = { 'a:1': first };
  const running = await start(workers, { connect: (at) => workers[at]! });
  const ids = async () => {
    const response = await fetch(`${running.url}/health`);
    const { workers: seen } = (await response.json()) as { workers: { id: string; status: string }[] };
    return seen.map(({ id, status }) => `${id} ${status}`);
  };
  assert.deepEqual(await ids(), ['first ok']);
  first.setAway(true);
  while ((await ids())[0] !== 'first unreachable');
  workers['a:1'] = second;
  while ((await ids())[0] !== 'second ok');
  await running.stop();
});
