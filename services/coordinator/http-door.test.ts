import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { LIMITS } from '@rondo/core';
import { newApiKey, parseApiKeys } from './api-keys.ts';
import { createHttpServer } from './http-server.ts';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';

const completion = { model: 'tiny', prompt: 'the cat', max_tokens: 4 };
const keyed = (line: string) => ({ apiKeys: { current: parseApiKeys('keys', line) } });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

/** Writes `text` on a fresh connection and returns all that comes back until it is closed. */
async function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString();
  });
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

/** Writes until the other end has closed both halves, which resets who still writes. */
async function untilCutOff(socket: Socket): Promise<void> {
  while (!socket.destroyed) {
    socket.write('x');
    await delay(20);
  }
}

test('with keys every route but the probes needs one, in the words of OpenAI', async (context) => {
  const { key, line } = newApiKey('alice', { requestsPerMinute: 100 });
  const { get, post } = await testCoordinator(context, keyed(line));
  for (const path of ['/health', '/healthz', '/live']) assert.equal((await get(path)).status, 200, path);
  const refused = [
    await get('/v1/models'),
    await get('/metrics'),
    await get('/nowhere'),
    await post('/tokenize', { prompt: 'x' }),
    await post('/v1/completions', completion, bearer('rondo_guess')),
  ];
  for (const { status, headers, body } of refused) {
    assert.equal(status, 401);
    assert.equal(headers.get('www-authenticate'), 'Bearer');
    assert.deepEqual(Object.keys(body.error), ['message', 'type', 'param', 'code']);
    assert.equal(body.error.type, 'invalid_request_error');
    assert.equal(body.error.code, 'invalid_api_key');
    assert.doesNotMatch(body.error.message, /guess/);
  }
  const answered = await post('/v1/completions', completion, bearer(key));
  assert.equal(answered.status, 200);
  assert.equal(answered.headers.get('x-ratelimit-limit-requests'), '100');
  assert.equal(answered.headers.get('x-ratelimit-remaining-requests'), '99');
});

test("a key's requests at once are over when their client has left", async (context) => {
  const { key, line } = newApiKey('alice', { concurrent: 1 });
  const worker = new ScriptedWorker({ silentAfter: 1 });
  const { post, url } = await testCoordinator(context, { ...keyed(line), workers: { 'a:1': worker } });
  const leaving = new AbortController();
  const first = fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(key) },
    body: JSON.stringify(completion),
    signal: leaving.signal,
  });
  await worker.opens(1);
  const second = await post('/v1/completions', completion, bearer(key));
  assert.equal(second.status, 429);
  assert.equal(second.body.error.code, 'rate_limit_exceeded');
  assert.equal(second.headers.get('retry-after'), '1');
  leaving.abort();
  await assert.rejects(first);
  // Asks nothing of the worker, and is refused for as long as the first is thought to be there.
  let status = 429;
  while (status === 429) ({ status } = await post('/tokenize', { prompt: 'x' }, bearer(key)));
  assert.equal(status, 200);
});

test('headers beyond their bound are refused, and the connection closed', async (context) => {
  const { url } = await testCoordinator(context);
  const answer = await raw(
    url,
    `GET /live HTTP/1.1\r\nhost: x\r\nlong: ${'x'.repeat(LIMITS.httpHeaderBytes)}\r\n\r\n`,
  );
  assert.match(answer, /^HTTP\/1\.1 431 /);
  assert.match(JSON.parse(answer.split('\r\n\r\n')[1]!).error.message, /16384 bytes/);
});

test('headers that never end cost a connection no longer than their bound', async (context) => {
  const { url } = await testCoordinator(context);
  assert.match(await raw(url, 'GET /live HTTP/1.1\r\nhost: x\r\nslow'), /^HTTP\/1\.1 408 /);
});

test('whoever keeps its end open is cut off with its refusal, in the middle of an answer without one', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 1 });
  const { url } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { hostname, port } = new URL(url);
  const open = () => connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  const body = JSON.stringify({ ...completion, stream: true });
  const stranger = open();
  stranger.write('no HTTP\r\n\r\n');
  const [refusal] = (await once(stranger, 'data')) as [Buffer];
  assert.match(refusal.toString(), /^HTTP\/1\.1 400 /);
  // It never ends its half; reading goes on, so that what the other end does is seen.
  stranger.on('error', () => {}).resume();
  await untilCutOff(stranger);

  const client = open();
  let answer = '';
  client.on('data', (data) => {
    answer += data.toString();
  });
  client.write(
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await worker.opens(1);
  while (!answer.includes('data: ')) await once(client, 'data');
  client.on('error', () => {}).write('no HTTP\r\n\r\n');
  while (worker.held > 0) await setImmediate();
  assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1);
  client.destroy();
});

test('a request behind another on its connection holds nothing once that has closed', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 1 });
  const { url, get } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { hostname, port } = new URL(url);
  const body = JSON.stringify({ ...completion, stream: true });
  const request = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const client = connect(Number(port), hostname);
  client.write(request + request);
  await worker.opens(2);
  client.destroy();
  while (worker.held > 0) await setImmediate();
  const { body: page } = await get('/metrics');
  assert.match(page, /^rondo_sequences_running\{model="tiny"\} 0$/m);
});

test('a body that is announced by its type and not sent is none', async (context) => {
  const { postBytes } = await testCoordinator(context);
  const { status, body } = await postBytes('/v1/batches/batch_1/cancel', '');
  assert.equal(status, 501, JSON.stringify(body));
  const empty = await postBytes('/v1/completions', '');
  assert.equal(empty.status, 400);
  assert.match(empty.body.error.message, /expected a JSON object/);
});

test('a body nested deeper than any request is refused; brackets in texts do not count', async (context) => {
  const { post, postBytes } = await testCoordinator(context);
  for (const deep of ['['.repeat(1_000_000), `{"prompt":${'['.repeat(64)}${']'.repeat(64)}}`]) {
    const { status, body } = await postBytes('/v1/completions', deep);
    assert.equal(status, 400);
    assert.match(body.error.message, /nested more than 64 deep/);
  }
  const texts = { ...completion, prompt: '"[{\\'.repeat(8), stop: ['[', '{'] };
  assert.equal((await post('/v1/completions', texts)).status, 200);
});

test('the server has every bound that Node leaves open or wide', () => {
  const server = createHttpServer(() => {});
  assert.equal(server.headersTimeout, LIMITS.httpHeadersMs);
  assert.equal(server.requestTimeout, LIMITS.httpRequestMs);
  assert.equal(server.keepAliveTimeout, LIMITS.httpKeepAliveMs);
  assert.equal(server.maxConnections, LIMITS.httpConnectionsMax);
});

test('a request on a connection too many is told when to come back; those before it are served', async (context) => {
  const server = createHttpServer((_request, response) => void response.end('served'), undefined, 1);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const first = connect(port, '127.0.0.1');
  await once(server, 'connection');
  const late = await raw(
    `http://127.0.0.1:${port}`,
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello',
  );
  assert.match(late, /^HTTP\/1\.1 429 /);
  assert.match(late, /retry-after: 1\r\n/);
  assert.match(late, /"type":"rate_limit_error"/);
  first.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  const [answer] = (await once(first, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
  // Its place is free again.
  if (!first.closed) await once(first, 'close');
  const next = await raw(
    `http://127.0.0.1:${port}`,
    'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  );
  assert.match(next, /served/);
});
