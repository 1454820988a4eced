import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { createLog } from './log.ts';

test('a line is JSON with level, time and name, and an error keeps its code', () => {
  const lines: string[] = [];
  const log = createLog('worker', { level: 'info', to: { write: (line) => void lines.push(line) } });
  log.debug('not shown');
  log.error({ err: new RondoError('KV_EXHAUSTED', 'full', { param: 'max_tokens' }) }, 'refused');
  assert.equal(lines.length, 1);
  const line = JSON.parse(lines[0] ?? '');
  assert.deepEqual([line.level, line.name, line.msg], ['error', 'worker', 'refused']);
  assert.deepEqual([line.err.code, line.err.param, line.err.message], ['KV_EXHAUSTED', 'max_tokens', 'full']);
  assert.match(line.time, /^\d{4}-\d\d-\d\dT/);
});

test('a level in RONDO_LOG that does not exist is fatal', () => {
  process.env.RONDO_LOG = 'loud';
  try {
    assert.throws(() => createLog('worker'), { code: 'CONFIG_INVALID', message: /RONDO_LOG="loud"/ });
  } finally {
    delete process.env.RONDO_LOG;
  }
});
