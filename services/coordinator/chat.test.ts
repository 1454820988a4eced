import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TINY, tinyBundle } from './test-bundle.ts';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';
import { openText } from './text.ts';

const hello = [{ role: 'user', content: 'hello' }];
const saying = (text: string) => new ScriptedWorker({ reply: () => [...Buffer.from(text), TINY.end] });

test('the conversation reaches the worker through the chat template', async (context) => {
  const worker = saying('hi');
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { status, body } = await post('/v1/chat/completions', {
    model: 'tiny',
    messages: [
      { role: 'developer', content: 'be kind' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'hel' },
          { type: 'text', text: 'lo' },
        ],
      },
      { role: 'assistant', content: 'yes?', refusal: null },
    ],
  });
  assert.equal(status, 200);
  const codec = (await openText(await tinyBundle()))!;
  assert.equal(
    codec.decode(worker.specs[0]!.promptIds),
    '<|start|>system\nbe kind<|end|>\n<|start|>user\nhello<|end|>\n<|start|>assistant\nyes?<|end|>\n<|start|>assistant\n',
  );
  assert.deepEqual(worker.specs[0]!.stopIds, [TINY.end]);
  assert.deepEqual(body.choices, [
    {
      index: 0,
      message: { role: 'assistant', content: 'hi', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ]);
});

test('an answer without tool calls may be sent back as history, whether it says so or not', async (context) => {
  const worker = new ScriptedWorker();
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  for (const calls of [{}, { tool_calls: null }, { tool_calls: [] }]) {
    const messages = [...hello, { role: 'assistant', content: 'hi', ...calls }, ...hello];
    const { status } = await post('/v1/chat/completions', { model: 'tiny', messages, max_tokens: 1 });
    assert.equal(status, 200, JSON.stringify(calls));
  }
  const prompts = worker.specs.map(({ promptIds }) => promptIds);
  assert.deepEqual(prompts, Array(3).fill(prompts[0]));
});

test('without a limit the answer may fill the rest of the context', async (context) => {
  const worker = new ScriptedWorker();
  const { post } = await testCoordinator(context, { workers: { 'a:1': worker } });
  const { body } = await post('/v1/chat/completions', { model: 'tiny', messages: hello });
  assert.equal(body.usage.total_tokens, TINY.context);
  assert.equal(body.choices[0].finish_reason, 'length');
});

test('log probabilities come with bytes and alternatives', async (context) => {
  const { post } = await testCoordinator(context, { workers: { 'a:1': saying('é') } });
  const { body } = await post('/v1/chat/completions', {
    model: 'tiny',
    messages: hello,
    logprobs: true,
    top_logprobs: 2,
  });
  assert.deepEqual(body.choices[0].logprobs.content[0], {
    token: 'bytes:\\xc3',
    logprob: -0.5,
    bytes: [0xc3],
    top_logprobs: [
      { token: 'bytes:\\xc4', logprob: -0.25, bytes: [0xc4] },
      { token: 'bytes:\\xc3', logprob: -0.5, bytes: [0xc3] },
    ],
  });
  assert.equal(body.choices[0].logprobs.content.length, 2);
});

test('every streamed choice begins with its role and ends with its reason', async (context) => {
  const { stream } = await testCoordinator(context, { workers: { 'a:1': saying('ok') } });
  const { events } = await stream('/v1/chat/completions', { model: 'tiny', messages: hello, n: 2 });
  assert.equal(events.at(-1), '[DONE]');
  for (const index of [0, 1]) {
    const own = events
      .slice(0, -1)
      .flatMap((chunk) => chunk.choices.filter((choice: { index: number }) => choice.index === index));
    assert.deepEqual(own[0].delta, { role: 'assistant', content: '' });
    assert.equal(own.map((choice) => choice.delta.content ?? '').join(''), 'ok');
    assert.deepEqual(own.map((choice) => choice.finish_reason).filter(Boolean), ['stop']);
  }
  assert.ok(
    events.slice(0, -1).every((chunk) => !('usage' in chunk)),
    'usage was not asked for',
  );
});

test('what changes nothing is accepted: neutral values and nulls', async (context) => {
  const { post } = await testCoordinator(context);
  const { status } = await post('/v1/chat/completions', {
    model: 'tiny',
    messages: hello,
    max_completion_tokens: 1,
    tools: [],
    tool_choice: 'none',
    response_format: { type: 'text' },
    modalities: ['text'],
    audio: null,
    stop: null,
    temperature: null,
    stream_options: null,
    logit_bias: null,
  });
  assert.equal(status, 200);
});

test('return_passes tells of each token how deep its row went, whole and in a stream alike', async (context) => {
  const { post, stream } = await testCoordinator(context);
  const body = {
    model: 'tiny',
    messages: [{ role: 'user', content: 'a' }],
    max_tokens: 3,
    return_passes: true,
  };
  const { body: whole } = await post('/v1/chat/completions', body);
  const [choice] = whole.choices;
  assert.equal(
    choice.token_passes.map(({ text }: { text: string }) => text).join(''),
    choice.message.content,
  );
  assert.ok(choice.token_passes.every(({ passes }: { passes: number }) => passes > 0));
  const { events } = await stream('/v1/chat/completions', body);
  const streamed = events.flatMap((event) =>
    event === '[DONE]' ? [] : (event.choices[0]?.token_passes ?? []),
  );
  assert.deepEqual(streamed, choice.token_passes);
});
