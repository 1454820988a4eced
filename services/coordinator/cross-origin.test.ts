import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newApiKey, parseApiKeys } from './api-keys.ts';
import { testCoordinator } from './test-coordinator.ts';

const completion = { model: 'tiny', prompt: 'the cat', max_tokens: 4 };
const PAGE = 'https://chat.example';
const from = (origin: string) => ({ origin });
const preflight = (url: string, origin: string): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'OPTIONS',
    headers: {
      ...from(origin),
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });
const allowed = ({ headers }: { headers: Headers }) => headers.get('access-control-allow-origin');

test('pages of an origin that is allowed may ask and read, with a key and without being let in by one', async (context) => {
  const { key, line } = newApiKey('alice', { requestsPerMinute: 100 });
  const { get, post, url } = await testCoordinator(context, {
    origins: [PAGE],
    apiKeys: { current: parseApiKeys('keys', line) },
  });
  const answer = await preflight(url, PAGE);
  assert.deepEqual([answer.status, allowed(answer)], [204, PAGE]);
  assert.match(answer.headers.get('access-control-allow-methods')!, /\bPOST\b/);
  assert.equal(answer.headers.get('access-control-allow-headers'), 'authorization,content-type');
  assert.equal(answer.headers.get('vary'), 'origin');
  const refused = await get('/v1/models', from(PAGE));
  assert.deepEqual([refused.status, allowed(refused)], [401, PAGE]);
  const answered = await post('/v1/completions', completion, {
    ...from(PAGE),
    authorization: `Bearer ${key}`,
  });
  assert.deepEqual([answered.status, allowed(answered)], [200, PAGE]);
  assert.match(answered.headers.get('access-control-expose-headers')!, /\bx-ratelimit-limit-requests\b/);
});

test('a stream tells that it may be read before its first event', async (context) => {
  const { url } = await testCoordinator(context, { origins: ['*'] });
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...from(PAGE) },
    body: JSON.stringify({ ...completion, stream: true }),
  });
  assert.equal(allowed(response), '*');
  assert.match(await response.text(), /data: \[DONE\]/);
});

test('pages of other origins are told nothing, and nobody is where no origin is allowed', async (context) => {
  const some = await testCoordinator(context, { origins: [PAGE] });
  const none = await testCoordinator(context);
  for (const { url, get } of [some, none]) {
    const origin = url === none.url ? PAGE : 'https://other.example';
    assert.deepEqual(
      [(await preflight(url, origin)).status, allowed(await preflight(url, origin))],
      [404, null],
    );
    assert.equal(allowed(await get('/v1/models', from(origin))), null);
  }
  assert.equal((await some.get('/v1/models', from('https://other.example'))).headers.get('vary'), 'origin');
});
