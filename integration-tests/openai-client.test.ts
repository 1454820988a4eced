import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { Cluster } from './cluster.ts';
import { TinyBundle } from './tiny-bundle.ts';

let bundle: TinyBundle;
let cluster: Cluster;
let client: OpenAI;
before(async () => {
  bundle = await TinyBundle.make(2);
  cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement: 'homed' });
  client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await bundle[Symbol.asyncDispose]();
});

const model = 'tiny';
const messages = [{ role: 'user' as const, content: 'What is the answer?' }];

describe('the official OpenAI client, unmodified', () => {
  test('lists the model', async () => {
    const listed = await client.models.list();
    assert.deepEqual(
      listed.data.map((entry) => entry.id),
      [model],
    );
    assert.equal((await client.models.retrieve(model)).object, 'model');
  });

  test('streams the text that it gets whole', async () => {
    const request = { model, messages, max_tokens: 24, seed: 7, temperature: 0.8 };
    const whole = await client.chat.completions.create(request);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    let reason: string | null = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      reason = chunk.choices[0]?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0]!.message.content);
    assert.equal(reason, whole.choices[0]!.finish_reason);
    assert.equal(usage!.prompt_tokens, whole.usage!.prompt_tokens);
    assert.equal(usage!.completion_tokens, whole.usage!.completion_tokens);
    assert.equal(usage!.prompt_tokens_details!.cached_tokens, 16, 'a page of the prompt was there already');
    assert.equal(usage!.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);
  });

  test('gets n different choices, each with its log probabilities', async () => {
    const answer = await client.chat.completions.create({
      model,
      messages,
      n: 3,
      seed: 1,
      max_tokens: 8,
      logprobs: true,
      top_logprobs: 4,
    });
    assert.deepEqual(
      answer.choices.map((choice) => choice.index),
      [0, 1, 2],
    );
    assert.equal(new Set(answer.choices.map((choice) => choice.message.content)).size, 3);
    for (const choice of answer.choices) {
      for (const token of choice.logprobs!.content!) {
        assert.equal(token.top_logprobs.length, 4);
        assert.ok(token.logprob <= token.top_logprobs[0]!.logprob);
      }
    }
  });

  test('stops before a stop string, wherever tokens end', async () => {
    const request = { model, prompt: 'The quick', max_tokens: 40, seed: 3 };
    const free = await client.completions.create(request);
    const text = free.choices[0]!.text;
    const stop = text.slice(9, 14);
    const stopped = await client.completions.create({ ...request, stop });
    assert.equal(stopped.choices[0]!.text, text.slice(0, text.indexOf(stop)));
    assert.equal(stopped.choices[0]!.finish_reason, 'stop');
  });

  test('can leave a stream, after which the next request is served', async () => {
    const stream = await client.completions.create({ model, prompt: 'The', max_tokens: 400, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    const next = await client.completions.create({ model, prompt: 'The', max_tokens: 2 });
    assert.equal(next.usage!.completion_tokens, 2);
  });

  test('raises the error class of each refusal', async () => {
    const raised = (body: object, type: abstract new (...args: never[]) => Error, param?: string) =>
      assert.rejects(
        client.chat.completions.create({ model, messages, ...body } as never),
        (error: unknown) => {
          assert.ok(error instanceof type, String(error));
          if (param) assert.equal((error as InstanceType<typeof OpenAI.APIError>).param, param);
          return true;
        },
      );
    await raised({ model: 'other' }, OpenAI.NotFoundError, 'model');
    await raised({ temperature: -1 }, OpenAI.BadRequestError, 'temperature');
    await raised({ max_tokens: 1_000_000 }, OpenAI.BadRequestError, 'max_tokens');
    await raised({ messages: [] }, OpenAI.BadRequestError, 'messages');
    await raised({ max_depth: 3 }, OpenAI.BadRequestError, 'max_depth');
  });
});
