import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelsOption } from './model-options.ts';

test('models come one an option, each with a name or with that of its bundle', () => {
  const parse = modelsOption('--model');
  const first = parse('bundles/looped');
  assert.deepEqual(parse('org/chat-2.1=/var/x=y', first), [
    { name: undefined, directory: 'bundles/looped' },
    { name: 'org/chat-2.1', directory: '/var/x=y' },
  ]);
  for (const value of ['', '=dir', 'a=', 'a b=dir', 'a:b=dir', '.x=dir', `${'a'.repeat(129)}=dir`]) {
    assert.throws(() => parse(value), /--model .*: expected a bundle directory/, `took '${value}'`);
  }
});
