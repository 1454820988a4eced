import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serversOption } from './nats-options.ts';

test('servers are URLs; the port is 4222 unless named', () => {
  assert.deepEqual(serversOption('nats://a, tls://b:4333,nats://[::1]:5000'), [
    'nats://a:4222',
    'tls://b:4333',
    'nats://[::1]:5000',
  ]);
});

test('what is no NATS URL is refused by name', () => {
  for (const value of ['', 'a:4222', 'http://a', 'nats://', 'nats://a/b', 'nats://a,']) {
    assert.throws(() => serversOption(value), { code: 'CONFIG_INVALID', message: /--nats / }, value);
  }
});

test('a password in a URL is refused and not repeated', () => {
  assert.throws(
    () => serversOption('nats://me:secret@a:4222'),
    (error: Error) => /RONDO_NATS_PASSWORD/.test(error.message) && !error.message.includes('secret'),
  );
});
