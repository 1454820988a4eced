import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstSteps } from './first-steps.ts';

/** The JSON bodies of the curl commands, read as a shell would. */
const bodies = (text: string) =>
  [...text.matchAll(/-d '(.*)'$/gm)].map(
    (match) => JSON.parse(match[1]!.replaceAll("'\\''", "'")) as Record<string, unknown>,
  );

test('a model with a chat template is asked with messages', () => {
  const text = firstSteps('http://127.0.0.1:8080', 'smol', 'messages', false);
  const [ask, watch] = bodies(text);
  assert.deepEqual(ask, {
    model: 'smol',
    messages: [{ role: 'user', content: 'What is the capital of France?' }],
    max_tokens: 64,
    temperature: 0,
  });
  assert.equal(watch?.stream, true);
  assert.match(text, /http:\/\/127\.0\.0\.1:8080\/v1\/chat\/completions/);
  assert.match(text, /client\.chat\.completions\.create\(\{"model":"smol"/);
});

test('a model without one is asked with text, and one without a tokenizer with ids', () => {
  const text = firstSteps('http://127.0.0.1:8080', 'base', 'text', false);
  assert.equal(bodies(text)[0]?.prompt, 'What is the capital of France?');
  assert.doesNotMatch(text, /chat/);
  assert.deepEqual(bodies(firstSteps('http://127.0.0.1:8080', 'bare', 'ids', false))[0]?.prompt, [1, 2, 3]);
});

test('a name with a quote stays one shell word', () => {
  assert.equal(bodies(firstSteps('http://127.0.0.1:8080', "it's", 'text', false))[0]?.model, "it's");
});

test('where keys are asked for, each way to ask shows one', () => {
  const text = firstSteps('http://127.0.0.1:8080', 'smol', 'text', true);
  const curls = text.split('\n').filter((line) => line.includes('curl '));
  assert.equal(curls.length, 2);
  for (const line of curls) assert.match(line, / -H "Authorization: Bearer \$RONDO_KEY" \\$/);
  assert.match(text, /apiKey: process\.env\.RONDO_KEY/);
  assert.match(text, /export RONDO_KEY=/);
  assert.doesNotMatch(firstSteps('http://127.0.0.1:8080', 'smol', 'text', false), /RONDO_KEY/);
});

test('a model that says what it can be asked is asked that', () => {
  const text = firstSteps('http://127.0.0.1:8080', 'sums', 'text', false, ['What is 2 + 2?', 'Sort 3, 1.']);
  assert.deepEqual(
    bodies(text).map(({ prompt }) => prompt),
    ['What is 2 + 2?', 'Sort 3, 1.'],
  );
});
