import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byteSize, choice, flag, integer, list, settings, text } from './config.ts';

const declared = {
  threads: integer('RONDO_THREADS', 1, 64, 2),
  kvBytes: byteSize('RONDO_KV_BYTES', 1024),
  placement: choice('RONDO_PLACEMENT', ['homed', 'staged'], 'homed'),
  tracing: flag('RONDO_TRACING'),
  workers: list(text('RONDO_WORKERS'), []),
};

const invalid = (message: RegExp) => ({ code: 'CONFIG_INVALID', message });

test('a setting comes from its flag, else the environment, else its default', () => {
  const env = {
    RONDO_THREADS: '3',
    RONDO_PLACEMENT: 'staged',
    RONDO_WORKERS: 'a:1, b:2',
    RONDO_TRACING: '1',
  };
  assert.deepEqual(settings(declared, { env, flags: { threads: '4', kvBytes: undefined } }), {
    threads: 4,
    kvBytes: 1024,
    placement: 'staged',
    tracing: true,
    workers: ['a:1', 'b:2'],
  });
});

test('the environment of the process is read when none is given', () => {
  process.env.RONDO_TEST_SETTING = 'here';
  try {
    assert.equal(settings({ value: text('RONDO_TEST_SETTING', 'default') }).value, 'here');
  } finally {
    delete process.env.RONDO_TEST_SETTING;
  }
});

test('settings are frozen', () => {
  assert.ok(Object.isFrozen(settings(declared, { env: {} })));
});

test('a malformed value is an error that names variable, value and what is expected, never the default', () => {
  const faults: [string, string, RegExp][] = [
    ['RONDO_THREADS', 'two', /^RONDO_THREADS="two": expected an integer from 1 to 64$/],
    ['RONDO_THREADS', '0', /from 1 to 64/],
    ['RONDO_THREADS', '65', /from 1 to 64/],
    ['RONDO_THREADS', '2.5', /an integer/],
    ['RONDO_THREADS', '', /RONDO_THREADS=""/],
    ['RONDO_KV_BYTES', '2GB', /such as 1073741824, 512MiB/],
    ['RONDO_KV_BYTES', '-5', /a size in bytes/],
    ['RONDO_PLACEMENT', 'Homed', /one of homed, staged/],
    ['RONDO_TRACING', 'yes', /1, true, 0 or false/],
    ['RONDO_WORKERS', 'a:1,,b:2', /separated by commas/],
  ];
  for (const [variable, value, message] of faults) {
    assert.throws(() => settings(declared, { env: { [variable]: value } }), invalid(message));
  }
});

test('a malformed flag is named as the user wrote it', () => {
  const flags = { kvBytes: 'lots' };
  assert.throws(
    () => settings(declared, { env: { RONDO_KV_BYTES: '1' }, flags }),
    invalid(/^--kv-bytes="lots"/),
  );
});

test('all faults are told at once, a missing setting among them', () => {
  const required = { ...declared, model: text('RONDO_MODEL') };
  assert.throws(
    () => settings(required, { env: { RONDO_THREADS: 'x' } }),
    invalid(/^RONDO_THREADS="x": .*\nRONDO_MODEL or --model is not set: expected a text$/),
  );
});

test('byte sizes take binary units', () => {
  const read = (value: string) => settings({ size: byteSize('S') }, { env: { S: value } }).size;
  assert.deepEqual(['7', '2KiB', '1.5 MiB', '1GiB'].map(read), [7, 2048, 1572864, 1073741824]);
});
