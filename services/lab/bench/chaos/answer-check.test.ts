import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChoiceText, compareChoice } from './answer-check.ts';

const IDS = Array.from({ length: 60 }, (_, index) => (index * 37) % 101);
const choice = (ids: readonly number[], more: Partial<ChoiceText> = {}): ChoiceText => ({
  ids,
  text: ids.map((id) => String.fromCodePoint(65 + id)).join(''),
  logprobs: ids.map((id) => -id / 10),
  finish: 'length',
  ...more,
});
const counts = (ids: readonly number[], partial = false) => {
  const { lost, repeated, different } = compareChoice(choice(ids), choice(IDS), partial);
  return { lost, repeated, different };
};
const NONE = { lost: 0, repeated: 0, different: 0 };

test('the same text differs in nothing', () => {
  assert.deepEqual(compareChoice(choice(IDS), choice(IDS)), NONE);
});

test('tokens that are missing in the middle or at the end are lost', () => {
  assert.deepEqual(counts([...IDS.slice(0, 20), ...IDS.slice(23)]), { ...NONE, lost: 3 });
  assert.deepEqual(counts(IDS.slice(0, 50)), { ...NONE, lost: 10 });
  assert.deepEqual(counts(IDS.slice(1)), { ...NONE, lost: 1 });
});

test('tokens that come again are repeated, wherever that is', () => {
  assert.deepEqual(counts([...IDS.slice(0, 20), ...IDS.slice(15)]), { ...NONE, repeated: 5 });
  assert.deepEqual(counts([...IDS, ...IDS.slice(58)]), { ...NONE, repeated: 2 });
});

test('losses and repetitions of one text are all counted', () => {
  const both = [...IDS.slice(0, 10), ...IDS.slice(12, 30), ...IDS.slice(29)];
  assert.deepEqual(counts(both), { ...NONE, lost: 2, repeated: 1 });
});

test('another text from some token on is different to its end, not lost nor repeated', () => {
  const other = [...IDS.slice(0, 40), ...Array.from({ length: 20 }, (_, index) => 200 + index)];
  assert.deepEqual(counts(other), { ...NONE, different: 20 });
  assert.match(compareChoice(choice(other), choice(IDS)).first!, /^token 40: \[200 201/);
});

test('of a client that left, the beginning counts', () => {
  assert.deepEqual(counts(IDS.slice(0, 7), true), NONE);
  assert.deepEqual(counts([], true), NONE);
  assert.deepEqual(counts([...IDS.slice(0, 7), 999], true), { ...NONE, different: 1 });
});

test('text, log probabilities and finish reason count as well', () => {
  const differs = (more: Partial<ChoiceText>, pattern: RegExp) => {
    const found = compareChoice(choice(IDS, more), choice(IDS));
    assert.equal(found.different, 1);
    assert.match(found.first!, pattern);
  };
  differs({ text: `${choice(IDS).text}x` }, /^text from character 60/);
  differs({ logprobs: choice(IDS).logprobs.with(8, 0) }, /^log probability of token 8: 0 for/);
  differs({ logprobs: choice(IDS).logprobs.slice(0, 59) }, /^log probability of token 59/);
  differs({ finish: 'stop' }, /^finish reason stop for length/);
});
