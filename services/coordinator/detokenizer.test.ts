import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Detokenizer } from './detokenizer.ts';
import { TINY, tinyBundle } from './test-bundle.ts';
import { openText, type TextCodec } from './text.ts';

const codec = (await openText(await tinyBundle())) as TextCodec;

test('a character whose bytes lie in several tokens comes out once, whole', () => {
  const detokenizer = new Detokenizer(codec);
  const pieces = codec.encode('a😀é', false).map((id) => detokenizer.push(id));
  assert.deepEqual(pieces, ['a', '', '', '', '😀', '', 'é']);
  assert.equal(detokenizer.end(), '');
});

test('the pieces of any text join to that text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const detokenizer = new Detokenizer(codec);
      const joined =
        codec
          .encode(text, false)
          .map((id) => detokenizer.push(id))
          .join('') + detokenizer.end();
      assert.equal(joined, text);
    }),
  );
});

test('a character cut off by the end becomes U+FFFD', () => {
  const detokenizer = new Detokenizer(codec);
  assert.equal(detokenizer.push(0xf0), '');
  assert.equal(detokenizer.push(0x9f), '');
  assert.equal(detokenizer.end(), '\ufffd');
});

test('control tokens and ids without a piece add no text', () => {
  const detokenizer = new Detokenizer(codec);
  assert.equal(detokenizer.push(TINY.end) + detokenizer.push(TINY.vocab - 1), '');
});
