import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNatsVersion } from './nats-version.ts';
import { subjectsUnder } from './subjects.ts';

test('a server from 2.11 on is good enough', () => {
  for (const version of ['2.11.0', '2.14.9', '3.0.0', '2.12.0-RC.1']) checkNatsVersion('a:4222', version);
});

test('an older server is refused by an error that names server, version and remedy', () => {
  for (const version of ['2.9.10', '2.10.29', '1.4.1', '0.11.0', 'unknown']) {
    assert.throws(() => checkNatsVersion('a:4222', version), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`a:4222.*${version.replaceAll('.', '\\.')}.*2\\.11.*upgrade`),
    });
  }
});

test('a prefix is one word', () => {
  assert.equal(subjectsUnder('blue_2').workersBucket, 'blue_2-workers');
  for (const prefix of ['', 'a.b', 'a b', '>', '*', 'x'.repeat(33)]) {
    assert.throws(() => subjectsUnder(prefix), { code: 'CONFIG_INVALID', message: /prefix/ });
  }
});
