import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { ToldStream } from './told-stream.ts';

let bundle: TinyBundle;
let worker: RondoProcess;
before(async () => {
  bundle = await TinyBundle.make(2);
  worker = await RondoProcess.start(
    ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    ...['--threads', '1', '--kv-mb', '64'],
  );
});
after(async () => {
  await worker.stop();
  await bundle[Symbol.asyncDispose]();
});

/** Where the admin port of a process is, as its log says. */
function adminOf({ errors }: RondoProcess): string {
  const line = errors.split('\n').find((each) => each.includes('admin port listens'));
  return JSON.parse(line!).url;
}

const coordinator = (...options: string[]) =>
  RondoProcess.start(
    ...[
      'coordinator',
      '--model',
      bundle.directory,
      '--worker',
      worker.ready,
      '--listen',
      '127.0.0.1:0',
      ...options,
    ],
  );

const read = async (url: string, init: RequestInit = {}) => {
  const response = await fetch(url, init);
  return { status: response.status, text: await response.text() };
};

test('a worker tells its metrics, that it lives and that it is ready', async () => {
  const admin = adminOf(worker);
  assert.match((await read(`${admin}/metrics`)).text, /^rondo_[a-z_]+\{.*worker="/m);
  assert.deepEqual(await read(`${admin}/healthz`), { status: 200, text: '{"status":"ok"}\n' });
  const { status, text } = await read(`${admin}/readyz`);
  assert.equal(status, 200);
  assert.equal(JSON.parse(text).workers[0].address, worker.ready);
  assert.equal((await read(`${admin}/nowhere`)).status, 404);
  assert.equal((await read(`${admin}/metrics`, { method: 'POST' })).status, 405);
});

test('the log level is told and set while the process runs', async () => {
  const url = `${adminOf(worker)}/log-level`;
  const set = (body: string) => read(url, { method: 'PUT', body });
  assert.equal((await read(url)).text, '{"level":"info"}\n');
  assert.equal((await set('debug\n')).text, '{"level":"debug"}\n');
  assert.equal((await read(url)).text, '{"level":"debug"}\n');
  for (const body of ['loud', '', 'x'.repeat(100)]) assert.equal((await set(body)).status, 400);
  assert.equal((await set('info')).status, 200);
});

test('beside an admin port the public one tells neither metrics nor addresses', async () => {
  await using running = await coordinator('--admin', '127.0.0.1:0');
  const [url, admin] = [running.ready.replace(/\/$/, ''), adminOf(running)];
  assert.equal((await read(`${url}/metrics`)).status, 404);
  assert.deepEqual(await read(`${url}/health`), { status: 200, text: '{"status":"ok"}' });
  assert.deepEqual(await read(`${url}/healthz`), { status: 200, text: '{"status":"ok"}' });
  const ready = await read(`${admin}/readyz`);
  assert.equal(ready.status, 200);
  assert.equal(JSON.parse(ready.text).workers[0].address, worker.ready);
  assert.match((await read(`${admin}/metrics`)).text, /rondo_http_requests_total/);
});

test('without one the public port tells all, as before', async () => {
  await using running = await coordinator();
  const url = running.ready.replace(/\/$/, '');
  assert.match((await read(`${url}/metrics`)).text, /rondo_http_requests_total/);
  assert.equal(JSON.parse((await read(`${url}/health`)).text).workers[0].address, worker.ready);
});

test('an admin port holds a bounded number of connections', async () => {
  const { hostname, port } = new URL(adminOf(worker));
  const connected = async () => {
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return socket;
  };
  const held = [];
  for (let index = 0; index < LIMITS.adminConnectionsMax; index++) held.push(await connected());
  const oneTooMany = await connected();
  await once(oneTooMany, 'close');
  const [first] = held;
  assert.ok(held.every(({ closed }) => !closed));
  first!.write('GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n');
  assert.match(String((await once(first!, 'data'))[0]), /^HTTP\/1\.1 200 /);
  for (const socket of held) socket.destroy();
});

for (const leaver of ['worker', 'coordinator'] as const) {
  test(`a ${leaver} that is told to leave is not ready at once, and what runs there still ends`, async () => {
    await using timed = await RondoProcess.start(
      ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
      ...['--engine', 'timed', '--timed-pass-ms', '10', '--kv-mb', '64'],
    );
    await using front = await RondoProcess.start(
      ...['coordinator', '--model', bundle.directory, '--worker', timed.ready],
      ...['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    );
    const leaving = leaver === 'worker' ? timed : front;
    const readiness = () => read(`${adminOf(leaving)}/readyz`);
    const tokens = 100;
    const stream = new ToldStream(front.ready, { prompt: [5, 6, 7], max_tokens: tokens });
    await stream.told(3);
    assert.equal((await readiness()).status, 200);
    const left = leaving.stop();
    let ready = await readiness();
    while (ready.status === 200) ready = await readiness();
    assert.deepEqual(ready, { status: 503, text: '{"status":"draining"}\n' });
    assert.equal(stream.choices[0]?.finish, null, 'it said so only after its work');
    await stream.ended;
    assert.deepEqual([stream.tokens, stream.choices[0]?.finish], [tokens, 'length']);
    assert.equal(await left, 0);
  });
}

test('an admin port that is taken ends the start', async () => {
  const taken = new URL(adminOf(worker)).host;
  const { code, stderr } = await RondoProcess.run('worker', '--model', bundle.directory, '--admin', taken);
  assert.equal(code, 1);
  assert.match(stderr, /the port is taken; choose another with --admin/);
});
