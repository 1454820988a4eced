import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactPreTokenizer } from './exact-pretokenizer.ts';

/** Cuts `text` by the Split rules of a pre-tokenizer, one after another, as a Sequence does. */
function cut(text: string, preTokenizer: Record<string, unknown> | null): string[] {
  const exact = exactPreTokenizer(preTokenizer)!;
  const parts = exact.type === 'Sequence' ? (exact.pretokenizers as Record<string, unknown>[]) : [exact];
  return parts
    .filter((part) => part.type === 'Split')
    .reduce<string[]>(
      (pieces, part) => {
        const pattern = new RegExp(`(${(part.pattern as { Regex: string }).Regex})`, 'u');
        return pieces.flatMap((piece) => piece.split(pattern).filter((found) => found !== ''));
      },
      [text],
    );
}

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

// Expected cuts: tokenizers 0.23 (Rust).

test('a byte order mark is no space', () => {
  assert.deepEqual(cut('a  \ufeff', BYTE_LEVEL), ['a', ' ', ' \ufeff']);
});

test('a next-line character is a space', () => {
  assert.deepEqual(cut('a\u0085\u0085b', BYTE_LEVEL), ['a', '\u0085', '\u0085', 'b']);
});

test('digits are those of every script', () => {
  const digits = { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }] };
  assert.deepEqual(cut('a½٣9', digits), ['a', '½', '٣', '9']);
});

test('a pattern keeps everything but its spaces', () => {
  const rule = { type: 'Split', pattern: { Regex: '\\\\s?\\p{L}+[^\\s\\d]|\\S' }, behavior: 'Isolated' };
  assert.deepEqual(exactPreTokenizer(rule)?.pattern, {
    Regex: '\\\\s?\\p{L}+[^\\p{White_Space}\\d]|\\P{White_Space}',
  });
});

test('what cannot be rewritten stays as it is', () => {
  for (const rule of [
    null,
    { type: 'Metaspace', replacement: '▁' },
    { type: 'Split', pattern: { String: ' ' } },
    { ...BYTE_LEVEL, add_prefix_space: true },
    { ...BYTE_LEVEL, use_regex: false },
  ]) {
    assert.deepEqual(exactPreTokenizer(rule), rule);
  }
});
