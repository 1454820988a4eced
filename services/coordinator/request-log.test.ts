import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '@rondo/chassis';
import { newApiKey, parseApiKeys } from './api-keys.ts';
import { Detokenizer } from './detokenizer.ts';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

/** A logger at its most talkative, and the lines it has written. */
function listening() {
  const lines: string[] = [];
  const log = createLog('test', { level: 'trace', to: { write: (line) => void lines.push(line) } });
  const told = () => lines.map((line) => JSON.parse(line));
  const requests = () => told().filter(({ msg }) => msg === 'request');
  return { lines, log, told, requests };
}

test('a request leaves one line at its end, with its ids, times, tokens, passes and workers', async (context) => {
  const { log, requests } = listening();
  const { post } = await testCoordinator(context, { log });
  const headers = { 'x-request-id': 'r-1', traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
  const { status } = await post('/v1/completions', { model: 'tiny', prompt: [1, 2], max_tokens: 3 }, headers);
  assert.equal(status, 200);
  const [line, ...others] = requests();
  assert.equal(others.length, 0);
  const { requestId, traceId, model, state, finishReason, promptTokens, completionTokens, passes, workers } =
    line;
  assert.deepEqual(
    [requestId, traceId, model, state, finishReason, promptTokens, completionTokens, passes, workers],
    ['r-1', TRACE, 'tiny', 'finished', 'length', 2, 3, 16, ['w1']],
  );
  for (const time of ['queueMs', 'firstTokenMs', 'totalMs']) assert.equal(typeof line[time], 'number', time);
});

test('a request that fails leaves its line, too, with the code of its error', async (context) => {
  const { log, requests } = listening();
  const workers = { 'a:1': new ScriptedWorker({ positions: 100, heldByOthers: 99 }) };
  const { post } = await testCoordinator(context, { log, workers });
  const { status } = await post('/v1/completions', { model: 'tiny', prompt: [1, 2], max_tokens: 3 });
  assert.equal(status, 429);
  assert.deepEqual(
    requests().map(({ state, code }) => [state, code]),
    [['failed', 'KV_EXHAUSTED']],
  );
});

test('an answer that breaks behind its workers has failed, and was not cancelled', async (context) => {
  const { log, told, requests } = listening();
  const { post, stream } = await testCoordinator(context, { log });
  context.mock.method(Detokenizer.prototype, 'push', () => {
    throw new TypeError('a defect');
  });
  const asked = { model: 'tiny', prompt: [1, 2], max_tokens: 3 };
  assert.equal((await post('/v1/completions', asked)).status, 500);
  await stream('/v1/completions', asked);
  assert.deepEqual(
    requests().map(({ state, code }) => [state, code]),
    Array(2).fill(['failed', 'INTERNAL']),
  );
  const traceOf = new Map(requests().map(({ requestId, traceId }) => [requestId, traceId]));
  const errors = told().filter(({ msg }) => msg === 'request failed' || msg === 'a stream broke off');
  assert.equal(errors.length, 2);
  for (const { requestId, traceId, msg } of errors) assert.equal(traceId, traceOf.get(requestId), msg);
});

test('neither keys nor prompts nor answers are logged, at any level', async (context) => {
  const { log, lines } = listening();
  const { key, line } = newApiKey('reader', {});
  const workers = { 'a:1': new ScriptedWorker({ reply: () => [115, 101, 99, 114, 101, 116] }) };
  const apiKeys = { current: parseApiKeys('keys', line) };
  const { post } = await testCoordinator(context, { log, workers, apiKeys });
  const authorization = `Bearer ${key}`;
  const body = { model: 'tiny', prompt: 'a private matter', max_tokens: 6 };
  const answer = await post('/v1/completions', body, { authorization });
  assert.equal(answer.body.choices[0].text, 'secret');
  await post('/v1/completions', { ...body, temperature: 'private' }, { authorization });
  await post('/v1/completions', body, { authorization: 'Bearer private' });
  assert.ok(lines.length > 0);
  for (const text of [key, 'private', 'secret'])
    assert.ok(!lines.join('').includes(text), `${text} is in the log`);
  // The answer's ids, as a list or under their indices: one alone may be in a time or an id by chance.
  assert.doesNotMatch(lines.join(''), /\b115\b.{1,8}\b101\b.{1,8}\b99\b/);
});
