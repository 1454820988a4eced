import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { newApiKey, parseApiKeys } from './api-keys.ts';

const HASH = 'a'.repeat(64);

test('a new key is found by its line and by nothing else', () => {
  const alice = newApiKey('alice');
  const bob = newApiKey('bob', { requestsPerMinute: 60, concurrent: 4 });
  const keys = parseApiKeys('keys', `# who may come in\n\n${alice.line}\n  ${bob.line} # since May\n`);
  assert.match(alice.key, /^rondo_[A-Za-z0-9_-]{43}$/);
  assert.ok(!bob.line.includes(bob.key));
  assert.deepEqual(keys.names, ['alice', 'bob']);
  assert.equal(keys.find(alice.key)?.name, 'alice');
  const { name, requestsPerMinute, concurrent } = keys.find(bob.key)!;
  assert.deepEqual(
    { name, requestsPerMinute, concurrent },
    { name: 'bob', requestsPerMinute: 60, concurrent: 4 },
  );
  for (const other of ['', alice.key.slice(0, -1), `${alice.key}x`, alice.line.split(':')[1]!]) {
    assert.equal(keys.find(other), undefined);
  }
});

test('a malformed file is refused with its line and reason, and without what it holds', () => {
  const faults: readonly (readonly [line: string, reason: RegExp])[] = [
    ['alice', /second word must be sha256:/],
    [`alice ${HASH}`, /second word must be sha256:/],
    [`alice sha256:${HASH.slice(1)}`, /second word must be sha256:/],
    [`al!ce sha256:${HASH}`, /first word must be a name/],
    [`${'a'.repeat(65)} sha256:${HASH}`, /first word must be a name/],
    [`alice sha256:${HASH} rpm=0`, /only rpm=<n> and concurrent=<n>/],
    [`alice sha256:${HASH} rpm=1.5`, /only rpm=<n> and concurrent=<n>/],
    [`alice sha256:${HASH} tpm=5`, /only rpm=<n> and concurrent=<n>/],
    [`alice sha256:${HASH} constructor=5`, /only rpm=<n> and concurrent=<n>/],
    [`alice sha256:${HASH} rpm=5 rpm=6`, /rpm is given twice/],
    [`first sha256:${'c'.repeat(64)}`, /a second key named first/],
    [`alice sha256:${'b'.repeat(64)}`, /the same key as first/],
  ];
  for (const [line, reason] of faults) {
    assert.throws(
      () => parseApiKeys('/etc/keys', `# keys\nfirst sha256:${'b'.repeat(64)}\n${line}\n`),
      ({ code, message }: Error & { code: string }) => {
        assert.equal(code, 'CONFIG_INVALID');
        assert.ok(message.startsWith('/etc/keys, line 3: '), message);
        assert.match(message, reason);
        assert.doesNotMatch(message, /[abc]{63}/);
        return true;
      },
    );
  }
});

test('a file without a key, and one with too many, are refused', () => {
  assert.throws(() => parseApiKeys('keys', '# none yet\n'), /keys: holds no key; .*rondo key new/);
  const lines = Array.from({ length: LIMITS.apiKeysMax + 1 }, (_, index) => newApiKey(`key-${index}`).line);
  assert.equal(parseApiKeys('keys', lines.slice(1).join('\n')).names.length, LIMITS.apiKeysMax);
  assert.throws(() => parseApiKeys('keys', lines.join('\n')), /line 257: more than 256 keys/);
});
