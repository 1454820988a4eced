import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answeredIds } from './answered-ids.ts';

/** One id for each character, that of 'ab' for both, in texts that begin with `first`. */
const characters = (first: string) => ({
  encode: (text: string) =>
    [...`${first}${text}`.replaceAll('ab', 'ω')].map((character) => character.codePointAt(0)!),
  rawBytes: (id: number) => Buffer.from(String.fromCodePoint(id).replace('ω', 'ab')),
});

const spelt = (ids: readonly number[]): string => String.fromCodePoint(...ids);

test('an answer begins with no space that its tokenizer puts before every text', () => {
  const { prompt, answer } = answeredIds(characters(' '), 'is:', 'no');
  assert.deepEqual([spelt(prompt), spelt(answer)], [' is:', 'no']);
});

test('an answer that grows together with its prompt is spelt by ids of its own, or refused', () => {
  const { prompt, answer } = answeredIds(characters(''), 'a', 'b');
  assert.deepEqual([spelt(prompt), spelt(answer)], ['a', 'b']);
  assert.throws(() => answeredIds(characters(' '), 'a', 'b'), {
    code: 'CONFIG_INVALID',
    message: /answer "b"/,
  });
});
