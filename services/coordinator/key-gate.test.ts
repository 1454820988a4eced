import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '@rondo/chassis';
import { ManualClock, RondoError } from '@rondo/core';
import { type KeyLimits, newApiKey, parseApiKeys } from './api-keys.ts';
import { KeyGate } from './key-gate.ts';

function gateFor(limits: KeyLimits) {
  const { key, line } = newApiKey('alice', limits);
  const keys = { current: parseApiKeys('keys', line) };
  const clock = new ManualClock();
  const metrics = new Metrics();
  const gate = new KeyGate({ keys, metrics, clock });
  /** The entry or the refusal, and the headers that came with it. */
  const enter = (authorization: string | undefined = `Bearer ${key}`) => {
    const headers: Record<string, string> = {};
    try {
      const entry = gate.enter(authorization, (name, value) => {
        headers[name] = value;
      });
      return { entry, headers, code: 'entered' };
    } catch (thrown) {
      return { entry: undefined, headers, code: RondoError.from(thrown).code };
    }
  };
  return { keys, clock, metrics, enter };
}

test('a key that spent its minute is told when to come back, and is let in then', () => {
  const { enter, clock } = gateFor({ requestsPerMinute: 3 });
  const headers = (remaining: number, reset: string) => ({
    'x-ratelimit-limit-requests': '3',
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': reset,
  });
  assert.deepEqual(enter().headers, headers(2, '20s'));
  assert.deepEqual(enter().headers, headers(1, '40s'));
  assert.deepEqual(enter().headers, headers(0, '1m0s'));
  assert.deepEqual(enter(), {
    entry: undefined,
    code: 'RATE_LIMIT_EXCEEDED',
    headers: { ...headers(0, '1m0s'), 'retry-after': '20' },
  });
  clock.advance(19_500);
  assert.equal(enter().headers['retry-after'], '1');
  clock.advance(500);
  assert.equal(enter().code, 'entered');
  clock.advance(3_600_000);
  assert.deepEqual(enter().headers, headers(2, '20s'));
});

test('requests at once are bounded until one has left, which counts once, and a refused one spends no allowance', () => {
  const { enter } = gateFor({ concurrent: 2, requestsPerMinute: 10 });
  const [first] = [enter(), enter()];
  const refused = enter();
  assert.equal(refused.code, 'RATE_LIMIT_EXCEEDED');
  assert.equal(refused.headers['x-ratelimit-remaining-requests'], '8');
  first.entry!.leave();
  first.entry!.leave();
  assert.equal(enter().code, 'entered');
  assert.equal(enter().code, 'RATE_LIMIT_EXCEEDED');
});

test('a stranger is refused whatever he sends, and metrics never show it', async () => {
  const { enter, metrics } = gateFor({});
  const strangers = ['', 'Bearer', 'Bearer ', 'Basic YTpi', `Bearer ${'x'.repeat(300)}`, 'Bearer guess'];
  for (const authorization of strangers) {
    const { code, headers } = enter(authorization);
    assert.equal(code, 'INVALID_API_KEY');
    assert.deepEqual(headers, { 'www-authenticate': 'Bearer' });
  }
  const rendered = await metrics.render();
  assert.match(rendered, /rondo_api_key_requests_total\{key="",outcome="unknown-key"\} 1/);
  assert.doesNotMatch(rendered, /guess/);
});

test('an exchanged file counts for the next request; what a name has spent stays spent', () => {
  const { enter, keys } = gateFor({ requestsPerMinute: 2 });
  enter();
  const anew = newApiKey('alice', { requestsPerMinute: 2 });
  keys.current = parseApiKeys('keys', anew.line);
  assert.equal(enter().code, 'INVALID_API_KEY');
  assert.equal(enter(`Bearer ${anew.key}`).headers['x-ratelimit-remaining-requests'], '0');
  assert.equal(enter(`Bearer ${anew.key}`).code, 'RATE_LIMIT_EXCEEDED');
});
