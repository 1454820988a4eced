import { randomUUID } from 'node:crypto';
import { LIMITS } from '@rondo/core';
import { z } from 'zod';
import type { AnswerPlan, AnswerWords, WholeChoice } from './answer-plan.ts';
import { messagesSchema, templateMessages } from './chat-messages.ts';
import { type ChoiceDelta, type ChoiceToken, tokenPasses } from './choice.ts';
import {
  generationFields,
  type ModelFacts,
  parseBody,
  samplingOf,
  unsupported,
  validGeneration,
} from './generation-fields.ts';
import { chatLogprobs } from './logprobs.ts';
import type { ModelService } from './model-service.ts';
import { invalid } from './openai-error.ts';
import { encodeBounded, noTokenizer } from './prompt.ts';
import type { TextCodec } from './text.ts';
import { tokenBudget } from './token-budget.ts';

const isEmptyList = (value: unknown) => Array.isArray(value) && value.length === 0;
const isNone = (value: unknown) => value === 'none';
const isNever = () => false;

const schema = z.strictObject({
  ...generationFields,
  messages: messagesSchema,
  max_tokens: z.int().min(1).optional(),
  max_completion_tokens: z.int().min(1).optional(),
  logprobs: z.boolean().default(false),
  top_logprobs: z.int().min(0).max(LIMITS.topLogprobsMax).optional(),
  parallel_tool_calls: z.unknown().optional(),
  tools: unsupported(isEmptyList),
  tool_choice: unsupported(isNone),
  functions: unsupported(isEmptyList),
  function_call: unsupported(isNone),
  response_format: unsupported((value) => (value as { type?: unknown }).type === 'text'),
  modalities: unsupported((value) => JSON.stringify(value) === '["text"]'),
  audio: unsupported(isNever),
  prediction: unsupported(isNever),
  reasoning_effort: unsupported(isNone),
  verbosity: unsupported((value) => value === 'medium'),
  web_search_options: unsupported(isNever),
});

/**
 * A /v1/chat/completions request, checked and rendered with the model's chat template.
 * @throws RondoError with the field at fault as param.
 */
export function planChat(body: unknown, service: Pick<ModelService, 'model' | 'codec'>): AnswerPlan {
  const { model, codec } = service;
  const fields = parseBody(schema, body);
  const valid = validGeneration(fields, model);
  if (fields.top_logprobs !== undefined && !fields.logprobs) {
    throw invalid('top_logprobs', 'only allowed when logprobs is true');
  }
  const promptIds = chatPrompt(fields.messages, true, { ...model, context: valid.context }, codec);
  const newName = fields.max_completion_tokens !== undefined;
  const maxTokens = tokenBudget({
    promptParam: 'messages',
    promptTokens: promptIds.length,
    maxTokensParam: newName ? 'max_completion_tokens' : 'max_tokens',
    maxTokens: newName ? fields.max_completion_tokens : fields.max_tokens,
    otherwise: valid.context.usual,
    context: valid.context,
  });
  return {
    choices: Array.from({ length: valid.n }, (_, choice) => ({
      stops: valid.stops,
      request: {
        promptIds,
        maxTokens,
        stopIds: valid.stopIds,
        sampling: samplingOf(valid.sampling, choice),
        exit: valid.exit,
        placement: valid.placement,
        topLogprobs: fields.logprobs ? (fields.top_logprobs ?? 0) : undefined,
        promptLogprobs: false,
      },
    })),
    promptTokens: promptIds.length,
    stream: valid.stream,
    includeUsage: valid.includeUsage,
    words: new ChatWords(model, codec, {
      logprobs: fields.logprobs,
      tokenIds: valid.returnTokenIds,
      passes: valid.returnPasses,
    }),
  };
}

/**
 * Token ids of a conversation.
 * @throws RondoError with param `messages` when the model has no tokenizer or template, or the template refuses.
 */
export function chatPrompt(
  messages: z.infer<typeof messagesSchema>,
  addGenerationPrompt: boolean,
  model: ModelFacts,
  codec: TextCodec | undefined,
): number[] {
  if (codec === undefined) throw noTokenizer('messages');
  const template = codec.chatTemplate;
  if (template === undefined) {
    throw invalid('messages', `the model '${model.name}' has no chat template; use /v1/completions`);
  }
  const text = template.render(templateMessages(messages, template), addGenerationPrompt);
  // The template already writes BOS and the like.
  return encodeBounded('messages', text, false, model, codec);
}

interface Wishes {
  readonly logprobs: boolean;
  readonly tokenIds: boolean;
  readonly passes: boolean;
}

/** The words of OpenAI's chat.completion objects. */
class ChatWords implements AnswerWords {
  readonly #codec: TextCodec | undefined;
  readonly #wishes: Wishes;
  readonly envelope: object;
  readonly #head: { readonly id: string; readonly created: number; readonly model: string };

  constructor(model: ModelFacts, codec: TextCodec | undefined, wishes: Wishes) {
    this.#codec = codec;
    this.#wishes = wishes;
    this.#head = {
      id: `chatcmpl-${randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    };
    this.envelope = { ...this.#head, object: 'chat.completion.chunk' };
  }

  opening(index: number): object[] {
    const delta = { role: 'assistant', content: '' };
    return [{ index, delta, logprobs: null, finish_reason: null }];
  }

  choice(index: number, { text, tokens, end }: ChoiceDelta): object {
    const delta = text === '' ? {} : { content: text };
    return {
      index,
      delta,
      logprobs: this.#report(tokens),
      finish_reason: end?.reason ?? null,
      ...this.#ids(tokens),
    };
  }

  whole(choices: readonly WholeChoice[], usage: object): object {
    return {
      ...this.#head,
      object: 'chat.completion',
      choices: choices.map(({ text, tokens, end }, index) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: this.#report(tokens),
        finish_reason: end.reason,
        ...this.#ids(tokens),
      })),
      usage,
    };
  }

  #report(tokens: readonly ChoiceToken[]): object | null {
    return this.#wishes.logprobs ? chatLogprobs(this.#codec, tokens) : null;
  }

  #ids(tokens: readonly ChoiceToken[]): object {
    return {
      ...(this.#wishes.tokenIds && { token_ids: tokens.map(({ id }) => id) }),
      ...(this.#wishes.passes && { token_passes: tokenPasses(tokens) }),
    };
  }
}
