import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyTokenizer } from './test-bundle.ts';
import { type TokenizerJson, tokenBytes } from './token-bytes.ts';

const table = (changes: object) =>
  tokenBytes('tokenizer.json', { ...tinyTokenizer(), ...changes } as TokenizerJson);
const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

test('every byte of a byte-level vocabulary stands for itself', () => {
  const { bytes } = table({});
  for (let byte = 0; byte < 256; byte++) assert.deepEqual([...bytes[byte]!], [byte]);
  assert.equal(text(bytes[259]), 'cat');
});

test('control tokens are special, other added tokens are text', () => {
  const { special, bytes } = table({
    added_tokens: [
      { id: 260, content: '<|end|>', special: true },
      { id: 261, content: 'naïve', special: false },
    ],
  });
  assert.deepEqual([...special], [260]);
  assert.equal(text(bytes[261]), 'naïve');
});

test('SentencePiece vocabularies spell spaces as ▁ and bytes as <0xNN>', () => {
  const decoder = {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  };
  const vocab = { '▁the': 0, '<0xF0>': 1, cat: 2, '▁▁': 7 };
  const added = [
    { id: 7, content: '▁▁', special: false },
    { id: 8, content: '<end▁of▁turn>', special: true },
  ];
  const { bytes, stripsLeadingSpace } = table({ decoder, added_tokens: added, model: { vocab } });
  assert.equal(text(bytes[0]), ' the');
  assert.deepEqual([...bytes[1]!], [0xf0]);
  assert.equal(text(bytes[7]), '  ');
  assert.equal(text(bytes[8]), '<end▁of▁turn>');
  assert.ok(stripsLeadingSpace);
});

test('a decoder whose tokens have no fixed bytes is refused by name', () => {
  assert.throws(() => table({ decoder: { type: 'WordPiece' } }), {
    code: 'BUNDLE_INVALID',
    message: /tokenizer\.json.*WordPiece/,
  });
});
