import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyFault } from './key-fault.ts';

test('a key that a header can carry has no fault', () => {
  assert.equal(keyFault('rondo_aZ09-_.~!'), undefined);
  new Headers().set('authorization', 'Bearer rondo_aZ09-_.~!');
});

test('a character that is not of keys is named by place and number', () => {
  assert.match(keyFault('abc\u200bd')!, /^Character 4 of this key is U\+200B, /);
  assert.match(keyFault('ab\u{1f511}')!, /^Character 3 of this key is U\+1F511, /);
  assert.match(keyFault('a b')!, /^Character 2 of this key is U\+0020, /);
  assert.match(keyFault('é')!, /^Character 1 of this key is U\+00E9, /);
});
