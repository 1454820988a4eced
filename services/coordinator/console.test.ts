import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { fastify } from 'fastify';
import { newApiKey, parseApiKeys } from './api-keys.ts';
import { addConsolePages } from './console-routes.ts';
import type { LiveFrame } from './live-frame.ts';
import { testCoordinator } from './test-coordinator.ts';

/** The first frame that `wanted` takes. */
async function frame(url: string, wanted: (frame: LiveFrame) => boolean): Promise<LiveFrame> {
  const response = await fetch(`${url}/console/live`);
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of response.body!) {
    text += decoder.decode(bytes, { stream: true });
    const parts = text.split('\n\n');
    text = parts.pop()!;
    const found = parts.map((part) => JSON.parse(part.slice('data: '.length)) as LiveFrame).find(wanted);
    if (found) return found;
  }
  throw new Error('the stream ended before');
}

test('the console counts the tokens of answers by the depth at which their rows left', async (context) => {
  const { url, post } = await testCoordinator(context);
  await post('/v1/completions', { model: 'tiny', prompt: 'a', max_tokens: 3 });
  const { tokens, exits, workers, firstTokenMs } = await frame(url, ({ tokens }) => tokens > 0);
  assert.equal(
    exits.reduce((sum, count) => sum + count, 0),
    tokens,
  );
  assert.deepEqual(
    workers.map(({ id, state }) => [id, state]),
    [['w1', 'serving']],
  );
  assert.notEqual(firstTokenMs, null);
});

test('one viewer of the console too many is refused, and let in when another has left', async (context) => {
  const { url } = await testCoordinator(context);
  const leaving = new AbortController();
  const view = (signal?: AbortSignal) => fetch(`${url}/console/live`, signal ? { signal } : {});
  const first = await view(leaving.signal);
  for (let viewers = 1; viewers < LIMITS.consoleViewersMax; viewers++)
    assert.equal((await view()).status, 200);
  const refused = await view();
  assert.equal(refused.status, 429);
  assert.match(await refused.text(), /consoles are open/);
  leaving.abort();
  await assert.rejects(first.text());
  let { status } = await view();
  while (status === 429) ({ status } = await view());
  assert.equal(status, 200);
});

test('the page loads without a key and from nowhere else; what it shows needs the key', async (context) => {
  const { line } = newApiKey('alice', {});
  const apiKeys = { current: parseApiKeys('keys', line) };
  const { get } = await testCoordinator(context, { apiKeys });
  const page = await get('/console');
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-security-policy')!, /default-src 'none'/);
  for (const [, asset] of String(page.body).matchAll(/(?:src|href)="(?!data:)([^"]+)"/g)) {
    assert.match(asset!, /^\/console\//);
    assert.equal((await get(asset!)).status, 200);
  }
  assert.equal((await get('/console/live')).status, 401);
});

test("only who reads what it shows takes a viewer's place", async (context) => {
  const { url } = await testCoordinator(context);
  const { status } = await fetch(`${url}/console/live`, { method: 'HEAD' });
  assert.equal(status, 404);
});

test('a page that was not built says how to build it', async () => {
  const http = fastify();
  addConsolePages(http, new URL('file:///not-built/'));
  const { statusCode, body } = await http.inject('/console');
  assert.equal(statusCode, 503);
  assert.match(body, /make setup/);
});

test('a coordinator that ends waits for no console', async (context) => {
  const { url, running } = await testCoordinator(context, { drainMs: 60_000 });
  const response = await fetch(`${url}/console/live`);
  await running.stop();
  assert.match(await response.text(), /\[DONE\]/);
});
