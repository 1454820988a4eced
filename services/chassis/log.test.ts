import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { createLog, moduleLog } from './log.ts';

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

test('a module may have a level of its own, and follows the others where it has none', () => {
  const lines: string[] = [];
  process.env.RONDO_LOG = 'warn,requests=info';
  try {
    const log = createLog('test', { to: { write: (line) => void lines.push(line) } });
    moduleLog(log, 'requests').info('told');
    moduleLog(log, 'workers').info('kept');
    log.level = 'info';
    moduleLog(log, 'workers').info('told since');
    assert.deepEqual(
      lines.map((line) => [JSON.parse(line).module, JSON.parse(line).msg]),
      [
        ['requests', 'told'],
        [undefined, 'told since'],
      ],
    );
  } finally {
    delete process.env.RONDO_LOG;
  }
});

test('a level that is none is refused by the name of its variable', () => {
  const wrong = ['loud', 'info,requests', 'info,=warn', 'info,requests=loud', 'info,requests=warn=info'];
  // A module that there is none of would keep what it was to silence.
  for (const written of [...wrong, 'info,request=silent']) {
    process.env.RONDO_LOG = written;
    assert.throws(() => createLog('test'), { code: 'CONFIG_INVALID', message: /RONDO_LOG/ }, written);
  }
  delete process.env.RONDO_LOG;
});

test('a RONDO_LOG that is empty says nothing', () => {
  process.env.RONDO_LOG = '';
  try {
    assert.equal(createLog('test').level, 'info');
  } finally {
    delete process.env.RONDO_LOG;
  }
});
