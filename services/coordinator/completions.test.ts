import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TINY, tinyBundle } from './test-bundle.ts';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';

const bytes = (text: string): number[] => [...Buffer.from(text)];
const saying = (text: string) => new ScriptedWorker({ reply: () => [...bytes(text), TINY.end] });

test('a prompt gets its continuation, without the token that ended it, and what it cost', async (context) => {
  const { post } = await testCoordinator(context, { workers: { 'a:1': saying(' sat.') } });
  const { status, body } = await post('/v1/completions', { model: 'tiny', prompt: 'the cat' });
  assert.equal(status, 200);
  assert.equal(body.object, 'text_completion');
  assert.deepEqual(body.choices, [{ index: 0, text: ' sat.', logprobs: null, finish_reason: 'stop' }]);
  assert.deepEqual(body.usage, {
    prompt_tokens: 3,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens: 6,
    total_tokens: 9,
    passes: { prompt: 12, generated: 20 },
  });
});

test('without max_tokens sixteen tokens are generated', async (context) => {
  const { post } = await testCoordinator(context);
  const { body } = await post('/v1/completions', { model: 'tiny', prompt: 'x' });
  assert.equal(body.choices[0].text, 'a'.repeat(16));
  assert.equal(body.choices[0].finish_reason, 'length');
});

test('every field reaches the worker in its own words', async (context) => {
  const worker = new ScriptedWorker();
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  await post('/v1/completions', {
    model: 'tiny',
    prompt: [1, 2],
    max_tokens: 3,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 7,
    min_p: 0.1,
    seed: 11,
    presence_penalty: 1,
    frequency_penalty: -1,
    repetition_penalty: 1.2,
    logit_bias: { 5: -100 },
    ignore_eos: true,
    min_depth: 2,
    max_depth: 3,
    exit_threshold: 0.8,
    user: 'somebody',
    metadata: { any: 'thing' },
    suffix: null,
  });
  const spec = worker.specs[0]!;
  assert.deepEqual(spec.promptIds, [1, 2]);
  assert.equal(spec.maxTokens, 3);
  assert.deepEqual(spec.stopIds, []);
  assert.deepEqual(spec.sampling, {
    temperature: 0.5,
    topP: 0.9,
    topK: 7,
    minP: 0.1,
    seed: 11,
    presencePenalty: 1,
    frequencyPenalty: -1,
    repetitionPenalty: 1.2,
    logitBias: new Map([[5, -100]]),
  });
  assert.deepEqual(spec.exit, { policy: 'gate', threshold: 0.8, minDepth: 2, maxDepth: 3 });
  assert.equal(spec.topLogprobs, undefined);
  await post('/v1/completions', {
    model: 'tiny',
    prompt: 'x',
    exit_policy: 'confidence',
    exit_threshold: 0.9,
  });
  await post('/v1/completions', { model: 'tiny', prompt: 'x', exit_depths: [1, 3] });
  assert.deepEqual(
    worker.specs.slice(-2).map(({ exit }) => exit),
    [
      { policy: 'confidence', threshold: 0.9, minDepth: 1, maxDepth: 4 },
      { policy: 'replay', threshold: 0, minDepth: 1, maxDepth: 4, depths: [1, 3] },
    ],
  );
});

test('a list of prompts times n gives choices in order, each with a seed of its own', async (context) => {
  const worker = new ScriptedWorker({ reply: (spec) => [spec.promptIds[0]! + (spec.sampling.seed - 5)] });
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { body } = await post('/v1/completions', {
    model: 'tiny',
    prompt: ['a', 'k'],
    n: 2,
    seed: 5,
    max_tokens: 2,
  });
  assert.deepEqual(
    body.choices.map((choice: { index: number; text: string }) => [choice.index, choice.text]),
    [
      [0, 'aa'],
      [1, 'bb'],
      [2, 'kk'],
      [3, 'll'],
    ],
  );
  assert.equal(body.usage.prompt_tokens, 2);
  assert.equal(body.usage.completion_tokens, 8);
});

test('a stop string ends the text and cancels the worker', async (context) => {
  const worker = new ScriptedWorker({ reply: () => [...bytes('one END two'), 120], silentAfter: 9 });
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { body } = await post('/v1/completions', {
    model: 'tiny',
    prompt: 'x',
    max_tokens: 50,
    stop: ['END', 'never'],
    logprobs: 0,
  });
  assert.equal(body.choices[0].text, 'one ');
  assert.equal(body.choices[0].finish_reason, 'stop');
  assert.deepEqual(body.choices[0].logprobs.tokens, ['o', 'n', 'e', ' ']);
  assert.equal(body.usage.completion_tokens, 7);
  assert.deepEqual(body.usage.passes, { prompt: 4, generated: 24 });
  assert.equal(worker.held, 0);
});

test('prompt tokens that a worker had cached are reported and cost no passes, also behind a stop string', async (context) => {
  const worker = new ScriptedWorker({ reply: () => [...bytes('so END'), TINY.end], cachedTokens: 2 });
  const { post, stream } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const ask = { model: 'tiny', prompt: 'the cat', max_tokens: 50 };
  for (const stop of [[], ['END']]) {
    const { body } = await post('/v1/completions', { ...ask, stop });
    assert.deepEqual(body.usage.prompt_tokens_details, { cached_tokens: 2 });
    assert.equal(body.usage.passes.prompt, 4);
    const { events } = await stream('/v1/completions', {
      ...ask,
      stop,
      stream_options: { include_usage: true },
    });
    assert.deepEqual(events.at(-2).usage, body.usage);
  }
});

test('echo with logprobs and max_tokens 0 scores the prompt alone', async (context) => {
  const { post } = await testCoordinator(context);
  const { status, body } = await post('/v1/completions', {
    model: 'tiny',
    prompt: 'é cat',
    max_tokens: 0,
    echo: true,
    logprobs: 1,
  });
  assert.equal(status, 200);
  const [choice] = body.choices;
  assert.equal(choice.text, 'é cat');
  assert.deepEqual(choice.logprobs.tokens, ['bytes:\\xc3', 'bytes:\\xa9', ' ', 'cat']);
  assert.deepEqual(choice.logprobs.token_logprobs, [null, -0.5, -0.5, -0.5]);
  assert.equal(choice.logprobs.top_logprobs[0], null);
  assert.deepEqual(choice.logprobs.top_logprobs[2], { '!': -0.25, ' ': -0.5 });
  assert.deepEqual(choice.logprobs.text_offset, [0, 0, 1, 2]);
  assert.equal(body.usage.completion_tokens, 0);
});

test('a prompt of one token has nothing to score, and its worker says no wrong thing', async (context) => {
  const { post, get } = await testCoordinator(context);
  const ask = { model: 'tiny', prompt: [5], max_tokens: 0, echo: true, logprobs: 1 };
  const { status, body } = await post('/v1/completions', ask);
  assert.equal(status, 200);
  assert.deepEqual(body.choices[0].logprobs.token_logprobs, [null]);
  assert.equal(body.usage.passes.prompt, 0);
  assert.doesNotMatch((await get('/metrics')).body, /rondo_contradictions_total\S* [1-9]/);
});

test('a token that ends the sequence is reported though it adds no text, unless a stop string lies before it', async (context) => {
  const worker = new ScriptedWorker({ reply: () => [...bytes('ok'), TINY.end] });
  const { post, stream } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const ask = { model: 'tiny', prompt: 'x', max_tokens: 9, logprobs: 0, return_token_ids: true };
  const { body } = await post('/v1/completions', ask);
  const [choice] = body.choices;
  assert.equal(choice.text, 'ok');
  assert.deepEqual(choice.token_ids, bytes('ok'));
  assert.deepEqual(choice.logprobs.tokens, ['o', 'k', '<|end|>']);
  assert.deepEqual(choice.logprobs.token_logprobs, [-0.5, -0.5, -0.5]);
  assert.deepEqual(choice.logprobs.text_offset, [0, 1, 2]);
  const { events } = await stream('/v1/completions', ask);
  const told = events.slice(0, -1).flatMap((chunk) => chunk.choices[0].logprobs.tokens);
  assert.deepEqual(told, choice.logprobs.tokens);
  const stopped = await post('/v1/completions', { ...ask, stop: 'k' });
  assert.deepEqual(stopped.body.choices[0].logprobs.tokens, ['o']);
});

test('a prompt is echoed as it was written, and with a report as its tokens spell it', async (context) => {
  const bundle = await tinyBundle({ normalizer: { type: 'NFC' } });
  const { post, stream } = await testCoordinator(context, { bundle, workers: { 'a:1': saying(' ok') } });
  const prompt = 'cafe\u0301';
  const ask = { model: 'tiny', prompt, echo: true };
  const { body } = await post('/v1/completions', ask);
  assert.equal(body.choices[0].text, `${prompt} ok`);
  const { events } = await stream('/v1/completions', ask);
  const pieces = events.slice(0, -1).map((chunk) => chunk.choices[0].text);
  assert.equal(pieces.join(''), `${prompt} ok`);
  const reported = await post('/v1/completions', { ...ask, logprobs: 0 });
  const { text, logprobs } = reported.body.choices[0];
  assert.equal(text, 'caf\u00e9 ok');
  assert.deepEqual(logprobs.tokens.slice(0, 4), ['ca', 'f', 'bytes:\\xc3', 'bytes:\\xa9']);
  assert.deepEqual(logprobs.text_offset, [0, 2, 3, 3, 4, 5, 6, 7]);
});

test('text offsets of generated tokens go on behind the echoed prompt', async (context) => {
  const { post } = await testCoordinator(context, { workers: { 'a:1': saying('ok') } });
  const { body } = await post('/v1/completions', { model: 'tiny', prompt: 'the', echo: true, logprobs: 0 });
  assert.equal(body.choices[0].text, 'theok');
  assert.deepEqual(body.choices[0].logprobs.text_offset, [0, 3, 4, 5]);
  assert.deepEqual(body.choices[0].logprobs.top_logprobs, [
    null,
    { o: -0.5 },
    { k: -0.5 },
    { '<|end|>': -0.5 },
  ]);
});

test('a stream joins to the whole answer and ends with usage and [DONE]', async (context) => {
  const { stream } = await testCoordinator(context, { workers: { 'a:1': saying('so 😀 END') } });
  const { events, headers, broken } = await stream('/v1/completions', {
    model: 'tiny',
    prompt: 'the',
    echo: true,
    stop: ' END',
    logprobs: 0,
    stream_options: { include_usage: true },
  });
  assert.match(headers.get('content-type') ?? '', /^text\/event-stream/);
  assert.equal(broken, false);
  assert.equal(events.at(-1), '[DONE]');
  const chunks = events.slice(0, -1);
  const texts = chunks.flatMap((chunk) => chunk.choices.map((choice: { text: string }) => choice.text));
  assert.equal(texts.join(''), 'theso 😀');
  assert.ok(texts.every((text) => !text.includes('\ufffd')));
  assert.deepEqual(
    chunks.flatMap((chunk) =>
      chunk.choices.flatMap((choice: { logprobs: { text_offset: number[] } }) => choice.logprobs.text_offset),
    ),
    [0, 3, 4, 5, 6, 6, 6, 6],
  );
  assert.deepEqual(
    chunks.slice(0, -1).map((chunk) => chunk.usage),
    chunks.slice(1).map(() => null),
  );
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.prompt_tokens, 1);
  assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
});

test('text offsets of a stream are those of the whole answer, also where a stop string held back part of a token', async (context) => {
  const worker = new ScriptedWorker({ reply: () => [TINY.the, 32, TINY.cat, TINY.end] });
  const { post, stream } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const ask = { model: 'tiny', prompt: 'x', echo: true, logprobs: 0, stop: 'hex' };
  const { body } = await post('/v1/completions', ask);
  assert.equal(body.choices[0].text, 'xthe cat');
  assert.deepEqual(body.choices[0].logprobs.text_offset, [0, 1, 4, 5, 8]);
  const { events } = await stream('/v1/completions', ask);
  const choices = events.slice(0, -1).map((chunk) => chunk.choices[0]);
  assert.ok(choices.some(({ text, logprobs }) => text === 'xt' && logprobs.tokens.length === 1));
  assert.deepEqual(
    choices.flatMap(({ logprobs }) => logprobs.text_offset),
    body.choices[0].logprobs.text_offset,
  );
});

test('a stream tells the ids of each prompt once, with the first chunk of its choice', async (context) => {
  const { post, stream } = await testCoordinator(context, { workers: { 'a:1': saying('so') } });
  const ask = { model: 'tiny', prompt: ['the', 'cat'], n: 2, return_token_ids: true };
  const { body } = await post('/v1/completions', ask);
  const { events } = await stream('/v1/completions', ask);
  for (const index of [0, 1, 2, 3]) {
    const own = events
      .slice(0, -1)
      .flatMap((chunk) => chunk.choices.filter((choice: { index: number }) => choice.index === index));
    assert.ok(own.length > 1);
    const [first, ...others] = own;
    assert.deepEqual(first.prompt_token_ids, [index < 2 ? TINY.the : TINY.cat]);
    assert.deepEqual(first.prompt_token_ids, body.choices[index].prompt_token_ids);
    assert.ok(others.every((choice) => !('prompt_token_ids' in choice)));
    assert.deepEqual(
      own.flatMap((choice) => choice.token_ids),
      body.choices[index].token_ids,
    );
  }
});

test('a bundle without a tokenizer answers token ids with token ids', async (context) => {
  const bundle = await tinyBundle({ tokenizer: false });
  const { post } = await testCoordinator(context, { bundle });
  const { body } = await post('/v1/completions', { model: 'tiny', prompt: [5, 6], max_tokens: 2 });
  assert.deepEqual(body.choices[0].token_ids, [97, 97]);
  assert.equal(body.choices[0].text, '');
  for (const [path, asked, param] of [
    ['/v1/completions', { model: 'tiny', prompt: 'text' }, 'prompt'],
    ['/v1/chat/completions', { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] }, 'messages'],
    ['/tokenize', { prompt: 'text' }, 'prompt'],
    ['/detokenize', { tokens: [1] }, 'tokens'],
  ] as const) {
    const refusal = await post(path, asked);
    assert.equal(refusal.status, 400, path);
    assert.equal(refusal.body.error.param, param);
    assert.match(refusal.body.error.message, /without a tokenizer/);
  }
});

test('more choices than fit at once are answered one after the other', async (context) => {
  const worker = new ScriptedWorker({ positions: 40 });
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { status, body } = await post('/v1/completions', {
    model: 'tiny',
    prompt: 'x',
    n: 16,
    max_tokens: 9,
  });
  assert.equal(status, 200);
  assert.equal(body.choices.length, 16);
});

test('a staged coordinator cuts the depths over its workers', async (context) => {
  const workers = { 'a:1': new ScriptedWorker({ id: 'a' }), 'b:1': new ScriptedWorker({ id: 'b' }) };
  const { post } = await testCoordinator(context, { workers, placement: 'staged' });
  await post('/v1/completions', { model: 'tiny', prompt: 'x' });
  const stages = workers['a:1'].specs[0]!.route.stages;
  assert.deepEqual(
    stages.map(({ worker, depths }) => [worker.id, worker.address, depths.first, depths.end]),
    [
      ['a', 'a:1', 0, 2],
      ['b', 'b:1', 2, 4],
    ],
  );
});

test('a request says for itself how its passes are placed', async (context) => {
  const workers = { 'a:1': new ScriptedWorker({ id: 'a' }), 'b:1': new ScriptedWorker({ id: 'b' }) };
  const { post } = await testCoordinator(context, { workers, placement: 'homed' });
  await post('/v1/completions', { model: 'tiny', prompt: 'x', placement: 'staged' });
  await post('/v1/completions', { model: 'tiny', prompt: 'x' });
  const specs = Object.values(workers).flatMap((worker) => worker.specs);
  assert.deepEqual(specs.map(({ route }) => route.stages.length).sort(), [1, 2]);
});

test('a top_k of -1 keeps all tokens, as one of 0 does', async (context) => {
  const worker = new ScriptedWorker();
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  for (const top_k of [-1, 0]) {
    const { status } = await post('/v1/completions', { model: 'tiny', prompt: 'x', top_k });
    assert.equal(status, 200);
  }
  assert.deepEqual(
    worker.specs.map(({ sampling }) => sampling.topK),
    [0, 0],
  );
});

test('seeds of 64 bits and a share of 0 are taken as OpenAI takes them', async (context) => {
  const worker = new ScriptedWorker();
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  for (const seed of [-1, 2 ** 32, 2 ** 53]) {
    const { status } = await post('/v1/completions', { model: 'tiny', prompt: 'x', seed, top_p: 0 });
    assert.equal(status, 200);
  }
  assert.deepEqual(
    worker.specs.map(({ sampling }) => sampling.seed),
    [0xffff_ffff, 0, 0],
  );
  assert.ok(worker.specs.every(({ sampling }) => sampling.topP > 0 && sampling.topP < 1e-6));
});
