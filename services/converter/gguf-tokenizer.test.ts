import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Tokenizer } from '@huggingface/tokenizers';
import { Fields } from './fields.ts';
import { tokenizerFromGguf } from './gguf-tokenizer.ts';

/** All 256 bytes as byte-level BPE writes them, in order of their code points. */
const BYTES = (() => {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

const byteLevelMetadata = (pre: string): Record<string, unknown> => ({
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': pre,
  'tokenizer.ggml.tokens': ['<|end|>', '<|user|>', ...BYTES, 'Ġt', 'he', 'Ġthe', '11', '1111', 'Ġ1'],
  'tokenizer.ggml.token_type': [3, 4, ...Array.from({ length: 262 }, () => 1)],
  'tokenizer.ggml.merges': ['Ġ t', 'h e', 'Ġt he', '1 1', '11 11', 'Ġ 1'],
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 0,
  'tokenizer.chat_template': '{{ messages[0].content }}',
});

const build = (metadata: Record<string, unknown>) => tokenizerFromGguf(new Fields('tiny.gguf', metadata));

function load(metadata: Record<string, unknown>): Tokenizer {
  const files = build(metadata);
  const parse = (name: string) => JSON.parse(new TextDecoder().decode(files.get(name)));
  return new Tokenizer(parse('tokenizer.json'), parse('tokenizer_config.json'));
}

const pieces = (tokenizer: Tokenizer, text: string): string[] => tokenizer.encode(text).tokens;

describe('a byte-level BPE', () => {
  test('merges by rank and decodes back to the text', () => {
    const tokenizer = load(byteLevelMetadata('gpt-2'));
    assert.deepEqual(pieces(tokenizer, 'so the'), ['s', 'o', 'Ġthe']);
    for (const text of ['so the', '日本 👍\r\n\t', '  e\u0301 ', '\u0000\u007f\u0085\ufeff']) {
      assert.equal(tokenizer.decode(tokenizer.encode(text).ids), text);
    }
  });

  test('cuts digits as its pre-tokenizer does', () => {
    const cut = (pre: string) => pieces(load(byteLevelMetadata(pre)), 'x11111');
    assert.deepEqual(cut('gpt-2'), ['x', '1111', '1']);
    assert.deepEqual(cut('smollm'), ['x', '1', '1', '1', '1', '1']);
    assert.deepEqual(cut('qwen2'), ['x', '1', '1', '1', '1', '1']);
    assert.deepEqual(cut('llama-bpe').slice(1), ['x', '11', '1', '11']);
  });

  test('knows its control tokens inside a text', () => {
    const { ids } = load(byteLevelMetadata('smollm')).encode('a<|user|>b<|end|>');
    assert.deepEqual(ids.map(Number), [2 + 97, 1, 2 + 98, 0]);
  });

  test('begins a text only where the file or the family says so', () => {
    const first = (metadata: Record<string, unknown>) => pieces(load(metadata), 'a')[0];
    assert.equal(first(byteLevelMetadata('gpt-2')), 'a');
    assert.equal(first(byteLevelMetadata('llama-bpe')), '<|end|>');
    assert.equal(first({ ...byteLevelMetadata('gpt-2'), 'tokenizer.ggml.add_bos_token': true }), '<|end|>');
    assert.equal(first({ ...byteLevelMetadata('llama-bpe'), 'tokenizer.ggml.add_bos_token': false }), 'a');
  });

  test('ends a text with its last token where the file says so', () => {
    const ends = { ...byteLevelMetadata('llama-bpe'), 'tokenizer.ggml.add_eos_token': true };
    assert.deepEqual(pieces(load({ ...ends, 'tokenizer.ggml.eos_token_id': 1 }), 'a'), [
      '<|end|>',
      'a',
      '<|user|>',
    ]);
    assert.deepEqual(pieces(load({ ...ends, 'tokenizer.ggml.add_bos_token': false }), 'a'), ['a', '<|end|>']);
    const { 'tokenizer.ggml.eos_token_id': _, ...none } = ends as Record<string, unknown>;
    assert.throws(() => build(none), {
      code: 'CHECKPOINT_INVALID',
      message: /eos_token_id: expected the token/,
    });
  });

  describe('with two tokens written alike', () => {
    const LAST = 264;
    const twice = (type: number, entries: Record<string, unknown>): Record<string, unknown> => {
      const metadata = byteLevelMetadata('llama-bpe');
      const append = (key: string, item: unknown) => [...(metadata[key] as unknown[]), item];
      return {
        ...metadata,
        'tokenizer.ggml.tokens': append('tokenizer.ggml.tokens', '<|end|>'),
        'tokenizer.ggml.token_type': [type, ...append('tokenizer.ggml.token_type', type).slice(1)],
        ...Object.fromEntries(
          Object.entries(entries).map(([key, value]) => [`tokenizer.ggml.${key}`, value]),
        ),
      };
    };

    test('surrounds a text with the one whose number the file gives', () => {
      for (const type of [1, 3]) {
        const ids = (entries: Record<string, unknown>) =>
          load(twice(type, entries)).encode('a').ids.map(Number);
        for (const [named, other] of [
          [0, LAST],
          [LAST, 0],
        ]) {
          assert.deepEqual(ids({ bos_token_id: named, eos_token_id: other }), [named, 2 + 97]);
          const both = { bos_token_id: named, eos_token_id: named, add_eos_token: true };
          assert.deepEqual(ids(both), [named, 2 + 97, named]);
          const end = { bos_token_id: other, eos_token_id: named, add_bos_token: false, add_eos_token: true };
          assert.deepEqual(ids(end), [2 + 97, named]);
        }
      }
    });

    test('is refused where a text would lie between the two: they are told apart by their text', () => {
      const between = { bos_token_id: 0, eos_token_id: LAST, add_eos_token: true };
      assert.throws(() => build(twice(3, between)), {
        code: 'CHECKPOINT_UNSUPPORTED',
        message: /eos_token_id is 264; supported: 0, the bos_token_id, for both are written <\|end\|>/,
      });
    });
  });

  test('needs no first or last token where none is added, whatever number the file has for none', () => {
    for (const none of [-1, 264, 2 ** 32 - 1]) {
      const metadata = {
        ...byteLevelMetadata('gpt-2'),
        'tokenizer.ggml.bos_token_id': none,
        'tokenizer.ggml.eos_token_id': none,
      };
      const config = JSON.parse(new TextDecoder().decode(build(metadata).get('tokenizer_config.json')));
      assert.deepEqual([config.bos_token, config.eos_token], [undefined, undefined]);
      for (const key of ['bos', 'eos']) {
        assert.throws(() => build({ ...metadata, [`tokenizer.ggml.add_${key}_token`]: true }), {
          code: 'CHECKPOINT_INVALID',
          message: new RegExp(`${key}_token_id: expected the token that .*, found ${none}`),
        });
      }
    }
  });

  test('needs no token for padding or for what is unknown, whatever number the file has for none', () => {
    for (const none of [-1, 2 ** 32 - 1]) {
      const files = build({
        ...byteLevelMetadata('gpt-2'),
        'tokenizer.ggml.padding_token_id': none,
        'tokenizer.ggml.unknown_token_id': none,
      });
      const config = JSON.parse(new TextDecoder().decode(files.get('tokenizer_config.json')));
      assert.deepEqual([config.pad_token, config.unk_token], [undefined, undefined]);
    }
  });

  test('brings its chat template and special tokens', () => {
    const files = build(byteLevelMetadata('gpt-2'));
    const config = JSON.parse(new TextDecoder().decode(files.get('tokenizer_config.json')));
    assert.equal(config.chat_template, '{{ messages[0].content }}');
    assert.equal(config.eos_token, '<|end|>');
  });
});

test('a SentencePiece BPE with byte fallback gives the ids of SentencePiece itself', () => {
  // A model of 480 pieces trained by sentencepiece 0.2 on the Apache licence, and its ids of some texts.
  const fixture = JSON.parse(readFileSync(new URL('./fixtures/sentencepiece.json', import.meta.url), 'utf8'));
  const numbers = (text: string) => (text === '' ? [] : text.split(' ').map(Number));
  const tokenizer = load({
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': fixture.pieces.split(' '),
    'tokenizer.ggml.scores': numbers(fixture.scores),
    'tokenizer.ggml.token_type': numbers(fixture.types),
    'tokenizer.ggml.unknown_token_id': 0,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.add_bos_token': false,
  });
  for (const { text, ids } of fixture.cases) {
    assert.deepEqual(tokenizer.encode(text).ids.map(Number), numbers(ids), JSON.stringify(text));
  }
});

test('a file without a tokenizer gives none', () => assert.equal(build({}).size, 0));

test('an unknown pre-tokenizer is refused by name: a guess would give wrong ids in silence', () =>
  assert.throws(() => build(byteLevelMetadata('tekken')), {
    code: 'CHECKPOINT_UNSUPPORTED',
    message: /tokenizer\.ggml\.pre is "tekken"; supported: gpt-2, smollm, llama-bpe, qwen2$/,
  }));

test('a file that does not name its pre-tokenizer is refused with what to do: it could be any', () => {
  const { 'tokenizer.ggml.pre': _, ...unnamed } = byteLevelMetadata('gpt-2');
  for (const [metadata, found] of [
    [unnamed, 'nothing'],
    [byteLevelMetadata('default'), '"default"'],
  ] as const) {
    assert.throws(() => build(metadata), {
      code: 'CHECKPOINT_UNSUPPORTED',
      message: new RegExp(
        `tokenizer\\.ggml\\.pre is ${found}; supported: gpt-2, .*; convert the model again with`,
      ),
    });
  }
});

test('an unknown tokenizer model is refused by name', () =>
  assert.throws(() => build({ ...byteLevelMetadata('gpt-2'), 'tokenizer.ggml.model': 'bert' }), {
    code: 'CHECKPOINT_UNSUPPORTED',
    message: /"bert"; supported: gpt2, llama/,
  }));

test('types that do not match the tokens are refused', () =>
  assert.throws(() => build({ ...byteLevelMetadata('gpt-2'), 'tokenizer.ggml.token_type': [1] }), {
    code: 'CHECKPOINT_INVALID',
    message: /token_type: expected 264 types/,
  }));
