import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { describeFailure } from './failure.ts';

const expected = new RondoError('CONFIG_INVALID', '--threads x: expected a whole number from 1', {
  cause: new Error('deeper'),
});

test('an expected error is one line, without a stack', () => {
  assert.equal(describeFailure(expected, 'info'), 'rondo: --threads x: expected a whole number from 1\n');
});

test('at level debug the stack follows, down to the first cause', () => {
  for (const levels of ['debug', 'debug,requests=silent']) {
    const text = describeFailure(expected, levels);
    assert.match(text, /^rondo: --threads x/);
    assert.match(text, /failure\.test\.ts/);
    assert.match(text, /caused by: Error: deeper/);
  }
});

test('a defect says that it is one', () => {
  assert.match(
    describeFailure(new TypeError('x is undefined'), 'info'),
    /x is undefined\n.*defect.*RONDO_LOG/,
  );
});

test('a failure may be told in other words', () => {
  assert.equal(describeFailure(expected, 'info', 'no speed'), 'rondo: no speed\n');
  const defect = describeFailure(new TypeError('x is undefined'), 'debug', 'no speed');
  assert.match(defect, /^rondo: no speed\nTypeError: x is undefined\n +at .*failure\.test\.ts/);
});

test('variables that are set to nothing hide no error and make none', () => {
  const main = new URL('./main.ts', import.meta.url).pathname;
  const env = { RONDO_LOG: '', HF_TOKEN: '' };
  const { status, stderr } = spawnSync(process.execPath, [main, 'pull', 'nowhere'], {
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.match(stderr, /^rondo: nowhere: no such file or directory/);
});
