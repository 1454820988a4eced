import { LIMITS, RondoError } from '@rondo/core';
import type { ModelFacts } from './generation-fields.ts';
import { invalid } from './openai-error.ts';
import type { TextCodec } from './text.ts';

/** A prompt in the model's tokens. */
export interface Prompt {
  /** At least one id, each below the vocabulary size. */
  readonly ids: readonly number[];
  /** Leading ids that the tokenizer added by itself and that are no part of the text. */
  readonly implied: number;
  /** As the client wrote it, which its tokens need not spell (normalisation, a space put before it); absent when it sent ids. */
  readonly text?: string;
}

const EXPECTED = 'expected a string, a list of strings, a list of token ids, or a list of such lists';

/**
 * The prompts of a completion request, in order.
 * @throws RondoError with param `prompt` when empty, of another type, outside the vocabulary, or far beyond the context.
 */
export function parsePrompts(value: unknown, model: ModelFacts, codec: TextCodec | undefined): Prompt[] {
  if (typeof value === 'string') return [textPrompt(value, model, codec)];
  if (!Array.isArray(value)) throw invalid('prompt', EXPECTED);
  if (value.length === 0) throw invalid('prompt', 'is empty');
  if (typeof value[0] === 'number') return [idsPrompt(value, model)];
  if (value.length > LIMITS.sequencesMax) {
    throw invalid('prompt', `at most ${LIMITS.sequencesMax} prompts in one request, got ${value.length}`);
  }
  return value.map((item: unknown) => {
    if (typeof item === 'string') return textPrompt(item, model, codec);
    if (Array.isArray(item)) return idsPrompt(item, model);
    throw invalid('prompt', EXPECTED);
  });
}

function idsPrompt(ids: readonly unknown[], model: ModelFacts): Prompt {
  const { vocab } = model.manifest.shape;
  if (ids.length === 0) throw invalid('prompt', 'is empty');
  for (const id of ids) {
    if (!Number.isInteger(id)) throw invalid('prompt', EXPECTED);
    if (!((id as number) >= 0 && (id as number) < vocab)) {
      throw invalid('prompt', `token id ${id} is outside the vocabulary of ${vocab}`);
    }
  }
  return { ids: ids as readonly number[], implied: 0 };
}

function textPrompt(text: string, model: ModelFacts, codec: TextCodec | undefined): Prompt {
  if (text === '') throw invalid('prompt', 'is empty');
  const ids = encodeBounded('prompt', text, true, model, codec);
  const { bos } = model.manifest.tokens;
  const addedBos =
    bos !== undefined && ids[0] === bos && codec !== undefined && !text.startsWith(codec.decode([bos]));
  return { ids, implied: addedBos ? 1 : 0, text };
}

/**
 * Token ids of `text`. What cannot fit the context even if each token were the longest is refused unread: encoding it
 * would keep everybody waiting.
 */
export function encodeBounded(
  param: string,
  text: string,
  addSpecial: boolean,
  model: ModelFacts,
  codec: TextCodec | undefined,
): number[] {
  const { vocab } = model.manifest.shape;
  const { most } = model.context;
  if (codec === undefined) throw noTokenizer(param);
  const fewest = codec.fewestTokens(text);
  if (fewest > most) {
    throw new RondoError(
      'CONTEXT_LENGTH_EXCEEDED',
      `${param}: at least ${fewest} tokens, and the context holds ${most}`,
      { param },
    );
  }
  const ids = codec.encode(text, addSpecial);
  if (ids.length === 0) throw invalid(param, 'holds no token');
  const foreign = ids.find((id) => id >= vocab);
  if (foreign !== undefined)
    throw invalid(param, `token id ${foreign} is outside the vocabulary of ${vocab}`);
  return ids;
}

export const noTokenizer = (param: string): RondoError =>
  invalid(param, 'this model was converted without a tokenizer; send token ids as prompt to /v1/completions');
