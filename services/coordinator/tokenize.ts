import { LIMITS } from '@rondo/core';
import { z } from 'zod';
import { chatPrompt } from './chat.ts';
import { messagesSchema } from './chat-messages.ts';
import { checkModel, parseBody } from './generation-fields.ts';
import type { ModelService } from './model-service.ts';
import { invalid } from './openai-error.ts';
import { encodeBounded, noTokenizer } from './prompt.ts';

const tokenizeSchema = z.strictObject({
  model: z.string().optional(),
  prompt: z.string().optional(),
  /** llama.cpp's name for `prompt`. */
  content: z.string().optional(),
  messages: messagesSchema.optional(),
  add_special_tokens: z.boolean().default(true),
  add_generation_prompt: z.boolean().default(true),
});

const detokenizeSchema = z.strictObject({
  model: z.string().optional(),
  tokens: z.array(z.int().min(0)).max(LIMITS.httpBodyBytes),
});

type Tokenizing = Pick<ModelService, 'model' | 'codec'>;

/** POST /tokenize: the ids of a text, or of a conversation through the chat template. */
export function tokenize(body: unknown, { model, codec }: Tokenizing): object {
  const fields = parseBody(tokenizeSchema, body);
  if (fields.model !== undefined) checkModel(fields.model, model);
  const param = fields.prompt === undefined ? 'content' : 'prompt';
  const text = fields.prompt ?? fields.content;
  if ((text === undefined) === (fields.messages === undefined)) {
    throw invalid('prompt', 'send either prompt or messages');
  }
  const tokens =
    fields.messages !== undefined
      ? chatPrompt(fields.messages, fields.add_generation_prompt, model, codec)
      : text === ''
        ? []
        : encodeBounded(param, text!, fields.add_special_tokens, model, codec);
  return { count: tokens.length, max_model_len: model.context.most, tokens };
}

/** POST /detokenize: the text of token ids, control tokens included. */
export function detokenize(body: unknown, { model, codec }: Tokenizing): object {
  const fields = parseBody(detokenizeSchema, body);
  if (fields.model !== undefined) checkModel(fields.model, model);
  if (codec === undefined) throw noTokenizer('tokens');
  const { vocab } = model.manifest.shape;
  const foreign = fields.tokens.find((id) => id >= vocab);
  if (foreign !== undefined)
    throw invalid('tokens', `token id ${foreign} is outside the vocabulary of ${vocab}`);
  return { prompt: codec.decode(fields.tokens) };
}

/** GET /tokenizer_info: what a client needs to lay out prompts by itself; a token that the model lacks is null. */
export function tokenizerInfo({ codec }: Tokenizing): object {
  if (codec === undefined) throw noTokenizer('model');
  const tokens = Object.entries(codec.specialTokens).map(([role, text]) => [role, text === '' ? null : text]);
  return { ...Object.fromEntries(tokens), chat_template: codec.chatTemplate?.source ?? null };
}
