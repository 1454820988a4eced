import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textWindows } from './windows.ts';

/** One id a character, its code point; 1 stands before a text. */
const letters = {
  prefixId: 1,
  addsPrefix: false,
  encode: (text: string) => Array.from(text, (letter) => letter.codePointAt(0)!),
  decode: (ids: readonly number[]) => String.fromCodePoint(...ids),
};
const TEXT = 'Rondeau: ein Thema kehrt zurück, und zurück, und zurück.';

test('each token is scored once, given all before it that fit', () => {
  const options = { positions: 16, stride: 4, max: 100 };
  const windows = textWindows('text', TEXT, letters, options);
  const scored = windows.flatMap(({ ids, context }) => ids.slice(context));
  assert.equal(letters.decode(scored), TEXT.slice(0, 56));
  let before = [letters.prefixId];
  for (const { ids, context } of windows) {
    assert.ok(ids.length <= options.positions);
    assert.deepEqual(ids.slice(0, context), before.slice(-context));
    assert.equal(context, Math.min(before.length, options.positions - options.stride));
    before = [...before, ...ids.slice(context)];
  }
});

test('bytes are those of the text, also where a character has two', () => {
  const windows = textWindows('text', TEXT, letters, { positions: 16, stride: 4, max: 100 });
  for (const { ids, context, bytes } of windows) {
    assert.equal(bytes, Buffer.byteLength(letters.decode(ids.slice(context))));
  }
  // A tokenizer that loses the umlauts still has all bytes of the text to account for.
  const lossy = { ...letters, decode: (ids: readonly number[]) => letters.decode(ids).replaceAll('ü', 'u') };
  const all = textWindows('text', TEXT, lossy, { positions: 16, stride: 4, max: 100 });
  const total = all.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(Math.abs(total - Buffer.byteLength(TEXT)) < 1e-9);
});

test('no more windows than asked for, and at least one', () => {
  assert.equal(textWindows('text', TEXT, letters, { positions: 16, stride: 4, max: 3 }).length, 3);
  assert.throws(() => textWindows('a.txt', TEXT, letters, { positions: 300, stride: 100, max: 3 }), {
    code: 'CONFIG_INVALID',
    message: /a\.txt: 56 tokens .*stride of 100/,
  });
});
