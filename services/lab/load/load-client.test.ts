import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { closedLoop } from './closed-loop.ts';
import { LoadClient } from './load-client.ts';
import { openLoop } from './open-loop.ts';
import { SseReader } from './sse-reader.ts';
import { Workload } from './workload.ts';

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

const token = (reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, text: 'é', finish_reason: reason }], usage: null })}\n\n`;
const usage = (tokens: number) =>
  `data: ${JSON.stringify({ choices: [], usage: { completion_tokens: tokens, passes: { prompt: 4, generated: 6 } } })}\n\n`;
const DONE = 'data: [DONE]\n\n';

async function clientOf(listener: RequestListener): Promise<LoadClient> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new LoadClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    model: 'm',
  });
  cleanups.push(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const part of request.setEncoding('utf8')) text += part;
  return JSON.parse(text) as Record<string, unknown>;
}

const request = { promptIds: [3, 4], maxTokens: 3, seed: 9, fields: { exit_depths: [1, 2] } };

test('tokens are counted however the stream is cut', () => {
  const bytes = `${token()}${token()}: a comment\n\n${token('length')}${usage(2)}${DONE}`;
  for (let size = 1; size < 60; size++) {
    const stream = new SseReader();
    for (let at = 0; at < bytes.length; at += size) stream.push(bytes.slice(at, at + size), at);
    assert.equal(stream.tokenMs.length, 2);
    assert.equal(stream.usage?.completion_tokens, 2);
    assert.ok(stream.done);
  }
});

test('a request asks for exact token ids and says when each of its tokens came', async () => {
  let asked: Record<string, unknown> = {};
  const client = await clientOf(async (incoming, response) => {
    asked = await bodyOf(incoming);
    response.end(`${token()}${token()}${token()}${token('length')}${usage(3)}${DONE}`);
  });
  const record = await client.send(request);
  assert.equal(record.outcome, 'ended', record.error);
  assert.equal(record.tokenMs.length, 3);
  assert.deepEqual(record.passes, { prompt: 4, generated: 6 });
  assert.ok(record.tokenMs.every((ms) => ms >= record.sentMs && ms <= record.endedMs));
  assert.deepEqual(asked, {
    model: 'm',
    prompt: [3, 4],
    max_tokens: 3,
    seed: 9,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
    exit_depths: [1, 2],
  });
});

test('a refusal keeps its status and how long to wait', async () => {
  const client = await clientOf((_, response) => {
    response.writeHead(429, { 'retry-after': '1' }).end('{"error":{"message":"full"}}');
  });
  const { outcome, status, retryAfterS, error } = await client.send(request);
  assert.deepEqual([outcome, status, retryAfterS], ['refused', 429, 1]);
  assert.match(error!, /full/);
});

test('what breaks off has failed, with the reason given in the stream', async () => {
  const cut = await clientOf((_, response) => {
    response.write(`${token()}data: {"error":{"message":"worker lost"}}\n\n`, () => response.destroy());
  });
  const broken = await cut.send(request);
  assert.deepEqual([broken.outcome, broken.tokenMs.length, broken.error], ['failed', 1, 'worker lost']);
  const short = await clientOf((_, response) => {
    response.end(`${token()}${usage(2)}${DONE}`);
  });
  assert.match((await short.send(request)).error!, /1 chunks brought 2 tokens/);
  const nobody = new LoadClient({ url: 'http://127.0.0.1:1', model: 'm' });
  assert.deepEqual(
    [(await nobody.send(request)).outcome, (await nobody.send(request)).status],
    ['failed', 0],
  );
});

test('a client that leaves says so and keeps what it got', async () => {
  const abort = new AbortController();
  const client = await clientOf(async (_, response) => {
    response.write(`${token()}${token()}`);
    // Loopback delivers at once: a few turns later the client, in this very process, has read it.
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    abort.abort();
  });
  const { outcome, tokenMs, status } = await client.send(request, abort.signal);
  assert.deepEqual([outcome, tokenMs.length, status], ['left', 2, 200]);
});

const workload = new Workload({
  seed: 1,
  promptTokens: { least: 1, most: 4 },
  outputTokens: { least: 1, most: 4 },
  ids: { first: 0, last: 9 },
});

test('a closed loop keeps as many requests in flight as it has clients, and sends each request once', async () => {
  const waiting: ServerResponse[] = [];
  const seeds: unknown[] = [];
  let most = 0;
  const answer = () => waiting.shift()!.end(`${token()}${usage(1)}${DONE}`);
  const client = await clientOf(async (incoming, response) => {
    seeds.push((await bodyOf(incoming)).seed);
    waiting.push(response);
    most = Math.max(most, waiting.length);
    // Nobody comes after the twelfth: whoever waits then is let go.
    while (waiting.length === 3 || (seeds.length === 12 && waiting.length > 0)) answer();
  });
  const records = await closedLoop({ client, workload, clients: 3, requests: 12 });
  assert.deepEqual(
    records.map(({ outcome }) => outcome),
    Array.from({ length: 12 }, () => 'ended'),
  );
  assert.equal(most, 3);
  assert.deepEqual(
    seeds.toSorted(),
    Array.from({ length: 12 }, (_, index) => workload.request(index).seed).toSorted(),
  );
});

test('an open loop sends on while nothing is answered', async () => {
  let arrived = 0;
  const waiting: ServerResponse[] = [];
  const client = await clientOf((_, response) => {
    waiting.push(response);
    // Only the tenth request frees the others.
    if (++arrived >= 10) for (const held of waiting.splice(0)) held.writeHead(429).end();
  });
  const records = await openLoop({ client, workload, ratePerS: 2000, forMs: 20, seed: 3 });
  assert.ok(records.length >= 10);
  assert.ok(records.every(({ outcome }) => outcome === 'refused'));
});
