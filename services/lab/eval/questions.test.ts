import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answersOf, readQuestions } from './questions.ts';

/** One id a character, its code point. */
const letters = {
  prefixId: 1,
  addsPrefix: false,
  encode: (text: string) => Array.from(text, (letter) => letter.codePointAt(0)!),
};
const text = (ids: readonly number[]) => String.fromCodePoint(...ids);
const line = (question: object) => `${JSON.stringify(question)}\n`;

test("a choice follows its question after one space, which is the choice's own", () => {
  const file = line({ query: 'Two and two are  ', choices: ['four', 'fünf'], gold: 0 });
  const [question] = readQuestions('q.jsonl', file, letters, 'as-tokenizer');
  assert.equal(text(question!.context), 'Two and two are');
  assert.deepEqual(question!.choices.map(text), ['   four', '   fünf']);
  assert.deepEqual(question!.lengths, [4, 4]);
});

test('a beginning of text stands before a question when it is to', () => {
  const file = line({ context: 'Yes or', choices: ['no', 'yes'], gold: 0, source: 'a friend' });
  const begins = (addsPrefix: boolean, bos: 'as-tokenizer' | 'always' | 'never') =>
    readQuestions('q.jsonl', file, { ...letters, addsPrefix }, bos)[0]!.context[0] === 1;
  assert.deepEqual([begins(false, 'as-tokenizer'), begins(true, 'as-tokenizer')], [false, true]);
  assert.deepEqual([begins(false, 'always'), begins(true, 'never')], [true, false]);
});

test('a malformed line is named', () => {
  const good = line({ query: 'q', choices: ['a', 'b'], gold: 1 });
  const refused = (bad: string, reason: RegExp) =>
    assert.throws(() => readQuestions('q.jsonl', `${good}\n${bad}`, letters, 'never'), {
      code: 'CONFIG_INVALID',
      message: reason,
    });
  refused('{', /^q\.jsonl:3: not JSON/);
  refused(line({ query: 'q', choices: ['a', 'b'], gold: 2 }), /^q\.jsonl:3: gold is the index/);
  refused(line({ query: 'q', choices: ['a'], gold: 0 }), /^q\.jsonl:3: choices/);
  refused(line({ choices: ['a', 'b'], gold: 0 }), /^q\.jsonl:3: either query or context/);
});

test('length counts against a long choice unless it is divided out', () => {
  const question = {
    name: 'q',
    context: [1],
    choices: [[2], [3, 4, 5]],
    lengths: [4, 12],
    gold: 1,
  };
  const answers = answersOf(question, [-4, -9]);
  assert.deepEqual([answers.correct, answers.correctNorm], [false, true]);
  // Of equals the first counts.
  assert.deepEqual(answersOf({ ...question, gold: 0 }, [-4, -4]).correct, true);
});
