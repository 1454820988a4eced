import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { TINY, tinyBundle } from './test-bundle.ts';
import { type TestAnswer, testCoordinator } from './test-coordinator.ts';

const COMPLETIONS = '/v1/completions';
const CHAT = '/v1/chat/completions';
const completion = { model: 'tiny', prompt: 'the cat' };
const hello = [{ role: 'user', content: 'hello' }];
const chat = { model: 'tiny', messages: hello };

function isRefusal(answer: TestAnswer, status: number, param: string | null, what: string): void {
  assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`);
  const { error } = answer.body;
  assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'], what);
  assert.equal(error.param, param, `${what}: ${error.message}`);
  assert.ok(error.message.length > 0 && error.type.length > 0);
}

const manyBiases = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, id) => [id, 1]));

const wrongFields: readonly (readonly [path: string, fields: object, param: string])[] = [
  [COMPLETIONS, { prompt: '' }, 'prompt'],
  [COMPLETIONS, { prompt: [] }, 'prompt'],
  [COMPLETIONS, { prompt: [[]] }, 'prompt'],
  [COMPLETIONS, { prompt: ['a', ''] }, 'prompt'],
  [COMPLETIONS, { prompt: null }, 'prompt'],
  [COMPLETIONS, { prompt: 7 }, 'prompt'],
  [COMPLETIONS, { prompt: [1.5] }, 'prompt'],
  [COMPLETIONS, { prompt: [-1] }, 'prompt'],
  [COMPLETIONS, { prompt: [1, TINY.vocab] }, 'prompt'],
  [COMPLETIONS, { prompt: [[1], 'a', {}] }, 'prompt'],
  [COMPLETIONS, { prompt: Array(LIMITS.sequencesMax + 1).fill('a') }, 'prompt'],
  [COMPLETIONS, { prompt: Array(20).fill('a'), n: 16 }, 'n'],
  [COMPLETIONS, { prompt: 'x'.repeat(TINY.context + 1) }, 'prompt'],
  [COMPLETIONS, { prompt: 'x'.repeat(TINY.context) }, 'prompt'],
  [COMPLETIONS, { max_tokens: TINY.context }, 'max_tokens'],
  [COMPLETIONS, { max_tokens: -1 }, 'max_tokens'],
  [COMPLETIONS, { max_tokens: 1.5 }, 'max_tokens'],
  [COMPLETIONS, { max_tokens: '5' }, 'max_tokens'],
  [COMPLETIONS, { max_completion_tokens: 1000 }, 'max_completion_tokens'],
  [COMPLETIONS, { temperature: -0.1 }, 'temperature'],
  [COMPLETIONS, { temperature: 'hot' }, 'temperature'],
  [COMPLETIONS, { top_p: -1 }, 'top_p'],
  [COMPLETIONS, { top_p: 1.1 }, 'top_p'],
  [COMPLETIONS, { top_k: -2 }, 'top_k'],
  [COMPLETIONS, { top_k: 0.5 }, 'top_k'],
  [COMPLETIONS, { min_p: 2 }, 'min_p'],
  [COMPLETIONS, { seed: 0.5 }, 'seed'],
  [COMPLETIONS, { seed: '1' }, 'seed'],
  [COMPLETIONS, { n: 0 }, 'n'],
  [COMPLETIONS, { n: 17 }, 'n'],
  [COMPLETIONS, { best_of: 3 }, 'best_of'],
  [COMPLETIONS, { suffix: 'end' }, 'suffix'],
  [COMPLETIONS, { logprobs: 21 }, 'logprobs'],
  [COMPLETIONS, { logprobs: true }, 'logprobs'],
  [COMPLETIONS, { echo: 'yes' }, 'echo'],
  [COMPLETIONS, { stop: 5 }, 'stop'],
  [COMPLETIONS, { stop: '' }, 'stop'],
  [COMPLETIONS, { stop: Array(17).fill('x') }, 'stop'],
  [COMPLETIONS, { presence_penalty: 3 }, 'presence_penalty'],
  [COMPLETIONS, { frequency_penalty: -3 }, 'frequency_penalty'],
  [COMPLETIONS, { repetition_penalty: 0 }, 'repetition_penalty'],
  [COMPLETIONS, { logit_bias: { [TINY.vocab]: 1 } }, 'logit_bias'],
  [COMPLETIONS, { logit_bias: { cat: 1 } }, 'logit_bias'],
  [COMPLETIONS, { logit_bias: { 5: 101 } }, 'logit_bias'],
  [COMPLETIONS, { logit_bias: { 5: 'much' } }, 'logit_bias'],
  [COMPLETIONS, { logit_bias: [1] }, 'logit_bias'],
  [COMPLETIONS, { min_depth: 0 }, 'min_depth'],
  [COMPLETIONS, { max_depth: 5 }, 'max_depth'],
  [COMPLETIONS, { min_depth: 3, max_depth: 2 }, 'min_depth'],
  [COMPLETIONS, { exit_threshold: 1.5 }, 'exit_threshold'],
  [COMPLETIONS, { exit_threshold: -1 }, 'exit_threshold'],
  [COMPLETIONS, { exit_policy: 'replay' }, 'exit_policy'],
  [COMPLETIONS, { exit_policy: 'confidence' }, 'exit_threshold'],
  [COMPLETIONS, { exit_depths: [] }, 'exit_depths'],
  [COMPLETIONS, { exit_depths: [0] }, 'exit_depths'],
  [COMPLETIONS, { exit_depths: Array(LIMITS.exitDepthsMax + 1).fill(1) }, 'exit_depths'],
  [COMPLETIONS, { placement: 'anywhere' }, 'placement'],
  [COMPLETIONS, { logit_bias: manyBiases(LIMITS.logitBiasMax + 1) }, 'logit_bias'],
  [COMPLETIONS, { stream: 'yes' }, 'stream'],
  [COMPLETIONS, { stream_options: { include_usage: true } }, 'stream_options'],
  [COMPLETIONS, { max_token: 5 }, 'max_token'],
  [COMPLETIONS, { model: null }, 'model'],
  [COMPLETIONS, { model: 5 }, 'model'],
  [CHAT, { messages: null }, 'messages'],
  [CHAT, { messages: [] }, 'messages'],
  [CHAT, { messages: 'hello' }, 'messages'],
  [CHAT, { messages: [{ role: 'wizard', content: 'x' }] }, 'messages[0].role'],
  [CHAT, { messages: [...hello, { role: 'tool', content: 'x' }] }, 'messages[1].role'],
  [CHAT, { messages: [{ role: 'user' }] }, 'messages[0].content'],
  [CHAT, { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
  [
    CHAT,
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
    'messages[0].content',
  ],
  [CHAT, { messages: [{ role: 'assistant', tool_calls: [{}] }] }, 'messages[0].tool_calls'],
  [CHAT, { messages: [{ role: 'assistant', tool_calls: {} }] }, 'messages[0].tool_calls'],
  [CHAT, { messages: [{ role: 'user', content: 'x'.repeat(TINY.context) }] }, 'messages'],
  [CHAT, { max_tokens: 0 }, 'max_tokens'],
  [CHAT, { max_tokens: TINY.context }, 'max_tokens'],
  [CHAT, { top_logprobs: 3 }, 'top_logprobs'],
  [CHAT, { logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  [CHAT, { logprobs: 3 }, 'logprobs'],
  [CHAT, { tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
  [CHAT, { tool_choice: 'auto' }, 'tool_choice'],
  [CHAT, { functions: [{ name: 'f' }] }, 'functions'],
  [CHAT, { response_format: { type: 'json_object' } }, 'response_format'],
  [CHAT, { modalities: ['text', 'audio'] }, 'modalities'],
  [CHAT, { audio: { voice: 'alloy' } }, 'audio'],
  ['/tokenize', {}, 'prompt'],
  ['/tokenize', { prompt: 5 }, 'prompt'],
  ['/tokenize', { prompt: 'a', messages: hello }, 'prompt'],
  ['/detokenize', { tokens: 'a' }, 'tokens'],
  ['/detokenize', { tokens: [TINY.vocab] }, 'tokens'],
];

test('a field that cannot be accepted is refused by name', async (context) => {
  const { post } = await testCoordinator(context);
  for (const [path, fields, param] of wrongFields) {
    const base = path === COMPLETIONS ? completion : path === CHAT ? chat : {};
    isRefusal(
      await post(path, { ...base, ...fields }),
      400,
      param,
      `${path} ${JSON.stringify(fields).slice(0, 80)}`,
    );
  }
});

test('what does not fit the context says so in its code', async (context) => {
  const { post } = await testCoordinator(context);
  for (const fields of [{ prompt: 'x'.repeat(200) }, { prompt: 'x'.repeat(2000) }, { max_tokens: 200 }]) {
    const { body } = await post(COMPLETIONS, { ...completion, ...fields });
    assert.equal(body.error.code, 'context_length_exceeded');
  }
});

test('an unknown model is not found, wherever it is named', async (context) => {
  const { post, get } = await testCoordinator(context);
  const asked = [
    await post(COMPLETIONS, { ...completion, model: 'gpt-4' }),
    await post(CHAT, { ...chat, model: 'gpt-4' }),
    await post('/tokenize', { model: 'gpt-4', prompt: 'x' }),
    await get('/v1/models/gpt-4'),
  ];
  for (const answer of asked) {
    isRefusal(answer, 404, 'model', 'model');
    assert.equal(answer.body.error.code, 'model_not_found');
  }
});

test('a body that is no JSON object is a bad request', async (context) => {
  const { postBytes } = await testCoordinator(context);
  for (const body of ['{"model": ', '', '[]', '5', 'null']) {
    isRefusal(await postBytes(COMPLETIONS, body), 400, null, body);
  }
  const invalidUtf8 = Uint8Array.from([...Buffer.from('{"model":"tiny","prompt":"'), 0xff, 0x22, 0x7d]);
  const answer = await postBytes(COMPLETIONS, invalidUtf8);
  isRefusal(answer, 400, null, 'invalid UTF-8');
  assert.match(answer.body.error.message, /UTF-8/);
});

test('NaN and Infinity, which JSON lacks, are refused with the field they stand in', async (context) => {
  const { postBytes } = await testCoordinator(context);
  for (const number of ['NaN', 'Infinity', '-Infinity', '1e999']) {
    const body = `{"model": "tiny", "prompt": "x", "temperature": ${number}}`;
    isRefusal(await postBytes(COMPLETIONS, body), 400, 'temperature', number);
  }
});

test('a body of another type is a bad request', async (context) => {
  const { postBytes } = await testCoordinator(context);
  const answer = await postBytes(COMPLETIONS, 'model=tiny', {
    'content-type': 'application/x-www-form-urlencoded',
  });
  isRefusal(answer, 400, null, 'form');
  assert.match(answer.body.error.message, /content-type/);
});

test('a body over the limit is refused before it is read', async (context) => {
  const { post } = await testCoordinator(context);
  const answer = await post(COMPLETIONS, { ...completion, prompt: 'x'.repeat(2 * LIMITS.httpBodyBytes) });
  isRefusal(answer, 413, null, 'large');
});

test('a body just under the limit is answered without delay, however long a word it holds', async (context) => {
  const { post } = await testCoordinator(context);
  isRefusal(
    await post(COMPLETIONS, { ...completion, prompt: 'x'.repeat(2_000_000) }),
    400,
    'prompt',
    'long word',
  );
});

test('an unknown route and a wrong method are not found', async (context) => {
  const { get, post } = await testCoordinator(context);
  isRefusal(await get('/v2/anything'), 404, null, 'route');
  isRefusal(await post('/health', {}), 404, null, 'method');
  const wrongMethod = await get(COMPLETIONS);
  isRefusal(wrongMethod, 404, null, 'method');
  assert.match(wrongMethod.body.error.message, /use POST/);
});

test('chat with a model that has no template is refused with the way out', async (context) => {
  const { post } = await testCoordinator(context, { bundle: await tinyBundle({ chatTemplate: '' }) });
  const answer = await post(CHAT, chat);
  isRefusal(answer, 400, 'messages', 'template');
  assert.match(answer.body.error.message, /no chat template.*\/v1\/completions/);
});

test('a conversation that the template refuses is a bad request with its reason', async (context) => {
  const chatTemplate = "{{ raise_exception('roles must alternate') }}";
  const { post } = await testCoordinator(context, { bundle: await tinyBundle({ chatTemplate }) });
  const answer = await post(CHAT, chat);
  isRefusal(answer, 400, 'messages', 'template');
  assert.match(answer.body.error.message, /roles must alternate/);
});

test('a threshold on a model without any exit signal is refused', async (context) => {
  const bundle = await tinyBundle({ exit: { signals: [] } });
  const { post } = await testCoordinator(context, { bundle });
  isRefusal(
    await post(COMPLETIONS, { ...completion, exit_threshold: 0.5 }),
    400,
    'exit_threshold',
    'no signal',
  );
});
