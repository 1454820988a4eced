import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';

const completion = { model: 'tiny', prompt: 'the cat', max_tokens: 8 };

test('a failure in mid-stream is an error event and a cut transfer without [DONE]', async (context) => {
  const { stream } = await testCoordinator(context, {
    workers: { 'a:1': new ScriptedWorker({ failAfter: 2 }) },
  });
  const { status, events, broken } = await stream('/v1/completions', completion);
  assert.equal(status, 200);
  assert.ok(broken);
  assert.equal(events.filter((event) => event.choices?.[0].text === 'a').length, 2);
  assert.deepEqual(events.at(-1).error, {
    message: '16 times in a row a worker failed this sequence before its next token: worker w1 went away',
    type: 'server_error',
    param: null,
    code: 'worker_lost',
  });
});

test('a failure before the first event of a stream is an ordinary HTTP error', async (context) => {
  const workers = { 'a:1': new ScriptedWorker({ failAfter: 0 }) };
  const { post } = await testCoordinator(context, { workers });
  const { status, body } = await post('/v1/completions', { ...completion, stream: true });
  assert.equal(status, 503);
  assert.equal(body.error.code, 'worker_lost');
});

test('a client that leaves a stream ends its sequences on the worker', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 3 });
  const { url, get } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const abort = new AbortController();
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...completion, n: 2, stream: true }),
    signal: abort.signal,
  });
  const reader = response.body!.getReader();
  await reader.read();
  assert.equal(worker.cancelled.length, 0);
  abort.abort();
  await worker.cancels(2);
  assert.equal(worker.held, 0);
  assert.match((await get('/metrics')).body, /rondo_sequences_running\{model="tiny"\} 0/);
});

test('a client that leaves while waiting for a whole answer ends its sequences too', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 0 });
  const { url } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const body = JSON.stringify(completion);
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await worker.opens(1);
  socket.destroy();
  await worker.cancels(1);
  assert.equal(worker.held, 0);
});

test('when no worker has room the answer is 429 and says when to come back', async (context) => {
  const worker = new ScriptedWorker({ positions: 40, heldByOthers: 35 });
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { status, headers, body } = await post('/v1/completions', completion);
  assert.equal(status, 429);
  assert.equal(headers.get('retry-after'), '1');
  assert.equal(body.error.type, 'rate_limit_error');
  assert.equal(body.error.code, 'kv_exhausted');
});

test('requests beyond those that are held at once are answered 429, and are let in when one has ended', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 1 });
  const { post, url } = await testCoordinator(context, { workers: { 'a:1': worker }, requestsInFlight: 1 });
  const leaving = new AbortController();
  const first = fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(completion),
    signal: leaving.signal,
  });
  await worker.opens(1);
  const second = await post('/v1/completions', completion);
  assert.equal(second.status, 429);
  assert.equal(second.headers.get('retry-after'), '1');
  assert.match(second.body.error.message, /^1 request is in flight, the most this coordinator holds/);
  leaving.abort();
  await assert.rejects(first);
  await worker.cancels(1);
  void post('/v1/completions', completion).catch(() => undefined);
  await worker.opens(2);
});

test('a request id is given back, or made', async (context) => {
  const { post } = await testCoordinator(context);
  const named = await post('/v1/completions', completion, { 'x-request-id': 'mine-7' });
  assert.equal(named.headers.get('x-request-id'), 'mine-7');
  const unnamed = await post('/v1/completions', { model: 'other' });
  assert.match(unnamed.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
});

test('a request is found again by the longest id that a client may give it', async (context) => {
  const { post, get } = await testCoordinator(context);
  const [longest, longer] = ['x'.repeat(128), 'x'.repeat(129)];
  await post('/v1/completions', completion, { 'x-request-id': longest });
  const { status, body } = await get(`/console/requests/${longest}`);
  assert.deepEqual([status, body.id], [200, longest]);
  const made = await post('/v1/completions', completion, { 'x-request-id': longer });
  assert.notEqual(made.headers.get('x-request-id'), longer);
});

test('the model is listed and found, also under a name with slashes', async (context) => {
  const { get } = await testCoordinator(context);
  const { body } = await get('/v1/models');
  assert.equal(body.object, 'list');
  assert.equal(body.data[0].id, 'tiny');
  assert.deepEqual((await get('/v1/models/tiny')).body, body.data[0]);
  assert.equal((await get('/v1/models/org/other')).status, 404);
});

test('tokenize and detokenize are each other backwards', async (context) => {
  const { post } = await testCoordinator(context);
  const { body } = await post('/tokenize', { content: 'the cat 😀' });
  assert.equal(body.count, body.tokens.length);
  assert.equal(body.max_model_len, 128);
  assert.deepEqual((await post('/detokenize', { tokens: body.tokens })).body, { prompt: 'the cat 😀' });
  const chat = await post('/tokenize', {
    messages: [{ role: 'user', content: 'hi' }],
    add_generation_prompt: false,
  });
  assert.deepEqual((await post('/detokenize', { tokens: chat.body.tokens })).body, {
    prompt: '<|start|>user\nhi<|end|>\n',
  });
  assert.deepEqual((await post('/detokenize', { tokens: [] })).body, { prompt: '' });
});

test('a client that lays out prompts by itself is told the control tokens and the chat template', async (context) => {
  const { get } = await testCoordinator(context);
  const { body } = await get('/tokenizer_info');
  assert.equal(body.bos_token, '<|start|>');
  assert.equal(body.eos_token, '<|end|>');
  assert.equal(body.pad_token, null);
  assert.match(body.chat_template, /add_generation_prompt/);
});

test('ready is a coordinator with a worker that has run a real pass', async (context) => {
  const warm = new ScriptedWorker({ id: 'a' });
  const cold = new ScriptedWorker({ id: 'b', describe: { provider: '' } });
  const both = await testCoordinator(context, { workers: { 'a:1': warm, 'b:1': cold } });
  const { status, body } = await both.get('/health');
  assert.equal(status, 200);
  assert.equal(body.status, 'ok');
  assert.deepEqual(
    body.workers.map((worker: { id: string; status: string; provider: string }) => [
      worker.id,
      worker.status,
      worker.provider,
    ]),
    [
      ['a', 'ok', 'cpu'],
      ['b', 'warming', ''],
    ],
  );
  const none = await testCoordinator(context, { workers: { 'b:1': cold } });
  assert.equal((await none.get('/health')).status, 503);
  assert.equal((await none.get('/live')).status, 200);
});

test('readiness ends when the worker can no longer be reached', async (context) => {
  const worker = new ScriptedWorker();
  const { get } = await testCoordinator(context, { workers: { 'a:1': worker } });
  assert.equal((await get('/health')).status, 200);
  worker.describe = () => Promise.reject(new RondoError('WORKER_LOST', 'connection refused'));
  const { status, body } = await get('/health');
  assert.equal(status, 503);
  assert.equal(body.workers[0].status, 'unreachable');
});

test('metrics tell requests by route and status, and tokens in and out', async (context) => {
  const { post, stream, get } = await testCoordinator(context);
  await post('/v1/completions', completion);
  await stream('/v1/completions', completion);
  await post('/v1/completions', { model: 'other' });
  await get('/no/such/route');
  const { headers, body } = await get('/metrics');
  assert.match(headers.get('content-type') ?? '', /^text\/plain/);
  for (const line of [
    'rondo_http_requests_total{route="/v1/completions",status="200"} 2',
    'rondo_http_requests_total{route="/v1/completions",status="404"} 1',
    'rondo_http_requests_total{route="unknown",status="404"} 1',
    'rondo_prompt_tokens_total{model="tiny"} 6',
    'rondo_generated_tokens_total{model="tiny"} 16',
    'rondo_passes_total{kind="generated",model="tiny"} 56',
    'rondo_sequences_running{model="tiny"} 0',
    'rondo_sequences_waiting{model="tiny"} 0',
    'rondo_sequences_ended_total{reason="length",model="tiny"} 2',
    'rondo_time_to_first_token_seconds_count{model="tiny"} 2',
    'rondo_inter_token_seconds_count{model="tiny"} 14',
    'rondo_queue_seconds_count{model="tiny"} 2',
    'rondo_sequence_seconds_count{model="tiny"} 2',
  ]) {
    assert.ok(body.includes(`${line}\n`), `${line}\n${body.match(/^rondo_.*$/gm)?.join('\n')}`);
  }
});

test('bytes that are no HTTP get an OpenAI error too', async (context) => {
  const { url } = await testCoordinator(context);
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write('hello\r\n\r\n');
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  await once(socket, 'close');
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal(JSON.parse(text.split('\r\n\r\n')[1]!).error.type, 'invalid_request_error');
});

test('stopping lets running answers end before the door closes, and takes nothing new', async (context) => {
  const first = new ScriptedWorker({ silentAfter: 1 });
  const second = new ScriptedWorker({ id: 'w2' });
  const workers = { 'a:1': first, 'b:1': second };
  const { running, stream, post, get } = await testCoordinator(context, { workers, drainMs: 60_000 });
  const streaming = stream('/v1/completions', completion);
  await first.opens(1);
  const stopped = running.stop();
  assert.equal((await post('/v1/completions', completion)).status, 503);
  const health = await get('/health');
  assert.deepEqual([health.status, health.body.status], [503, 'draining']);
  // The stream goes on from here, on the other worker.
  first.setAway(true);
  const { events, broken } = await streaming;
  assert.deepEqual([events.at(-1), broken], ['[DONE]', false]);
  await stopped;
  await assert.rejects(get('/live'));
});

test('stopping ends streams that take too long, lets the workers go and closes the door', async (context) => {
  const worker = new ScriptedWorker({ silentAfter: 1 });
  const { running, stream, get } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const streaming = stream('/v1/completions', completion);
  await worker.opens(1);
  await running.stop();
  const outcome = await streaming.catch(() => undefined);
  assert.ok(!outcome?.events.includes('[DONE]'));
  assert.ok(worker.closed);
  await assert.rejects(get('/live'));
});
