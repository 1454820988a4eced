import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';

const DOOMED = [9, 9];

/** A worker that says one token of each sequence and then nothing more; one of prompt `DOOMED` it fails. */
const halting = () =>
  new ScriptedWorker({
    silentAfter: 1,
    reply({ promptIds }) {
      if (promptIds[0] === DOOMED[0]) throw new RondoError('INTERNAL', 'this prompt is not for me');
      return [97];
    },
  });

test('a choice that fails ends the others, and the answer says why it failed', async (context) => {
  const worker = halting();
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { status, body } = await post('/v1/completions', { model: 'tiny', prompt: [[1, 2], DOOMED] });
  assert.equal(status, 500);
  assert.match(body.error.message, /not for me/);
  await worker.cancels(1);
});

test('a stream of which one choice fails tells it once the others have ended, and breaks off', async (context) => {
  const worker = halting();
  const { stream } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { events, broken } = await stream('/v1/completions', { model: 'tiny', prompt: [[1, 2], DOOMED] });
  assert.match(events.at(-1).error.message, /not for me/);
  assert.equal(events.at(0).choices[0].text, 'a');
  assert.ok(broken);
  await worker.cancels(1);
});

test('chunks of several choices come in the order of each, under one head', async (context) => {
  const worker = new ScriptedWorker({ reply: ({ sampling: { seed } }) => [97 + (seed % 2), 99, 100] });
  const { stream } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { events } = await stream('/v1/completions', {
    model: 'tiny',
    prompt: [1, 2],
    n: 2,
    seed: 4,
    max_tokens: 3,
    stream_options: { include_usage: true },
  });
  const chunks = events.slice(0, -2);
  for (const index of [0, 1]) {
    const mine = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
    assert.equal(mine.map(({ text }) => text).join(''), index === 0 ? 'acd' : 'bcd');
    assert.equal(mine.at(-1).finish_reason, 'length');
  }
  const { id, created } = chunks[0];
  for (const { choices: _, usage, ...head } of chunks) {
    assert.equal(usage, null);
    assert.deepEqual(head, { id, object: 'text_completion', created, model: 'tiny' });
  }
  const last = events.at(-2);
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, 6);
  assert.equal(events.at(-1), '[DONE]');
});
