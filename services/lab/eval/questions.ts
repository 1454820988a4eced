import { RondoError } from '@rondo/core';
import { z } from 'zod';
import { checkedLines } from './checked-json.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

type Encoding = Pick<TextTokenizer, 'prefixId' | 'addsPrefix' | 'encode'>;

/** A multiple-choice question as rows: the context's ids, and each choice's after them. */
export interface Question {
  /** Where it stands, for messages. */
  readonly name: string;
  readonly context: readonly number[];
  readonly choices: readonly (readonly number[])[];
  /** Characters of each choice. */
  readonly lengths: readonly number[];
  /** Index of the right choice. */
  readonly gold: number;
}

/** What stands between a question and a choice: lm-evaluation-harness' `target_delimiter`. */
const DELIMITER = ' ';

const asked = z.string().regex(/\S/, 'more than spaces');

// Files that others made may say more about each question.
const schema = z
  .looseObject({
    query: asked.optional(),
    context: asked.optional(),
    choices: z.array(z.string().min(1)).min(2),
    gold: z.int().nonnegative(),
  })
  .refine(
    ({ query, context }) => (query === undefined) !== (context === undefined),
    'either query or context',
  )
  .refine(({ choices, gold }) => gold < choices.length, 'gold is the index of a choice');

/**
 * Reads questions, one JSON object a line, and cuts them as lm-evaluation-harness does: the context's ids are its own, a
 * choice's are those that the whole has beyond them, and spaces at the end of a context belong to the choice.
 * @throws RondoError CONFIG_INVALID naming file and line.
 */
export function readQuestions(
  name: string,
  text: string,
  tokenizer: Encoding,
  bos: 'as-tokenizer' | 'always' | 'never',
): Question[] {
  const begins = bos === 'always' || (bos === 'as-tokenizer' && tokenizer.addsPrefix);
  const prefix = begins ? [tokenizer.prefixId] : [];
  return checkedLines(schema, name, text).map(({ place, value }) => {
    const { query, context = query!, choices, gold } = value;
    const given = context.trimEnd();
    const spaces = context.slice(given.length) + DELIMITER;
    const ids = tokenizer.encode(given);
    const encoded = choices.map((choice) => tokenizer.encode(`${given}${spaces}${choice}`).slice(ids.length));
    if (encoded.some((choice) => choice.length === 0)) {
      throw new RondoError('CONFIG_INVALID', `${place}: a choice adds no token to its question`);
    }
    const lengths = choices.map((choice) => Array.from(choice).length);
    return { name: place, context: [...prefix, ...ids], choices: encoded, lengths, gold };
  });
}

/** Positions of the longest row of ids that `question` asks for. */
export const positionsOf = ({ context, choices }: Question): number =>
  context.length + Math.max(...choices.map((choice) => choice.length));

/** What a model makes of one question. */
export interface Answers {
  /** Σ log p of each choice's ids given the context, in nats. */
  readonly logLikelihoods: readonly number[];
  /** The likeliest choice is the right one. */
  readonly correct: boolean;
  /** The choice of the highest log likelihood per character is the right one. */
  readonly correctNorm: boolean;
}

/** The first of the highest, as in lm-evaluation-harness. */
const highest = (values: readonly number[]): number => values.indexOf(Math.max(...values));

export function answersOf({ lengths, gold }: Question, logLikelihoods: readonly number[]): Answers {
  return {
    logLikelihoods,
    correct: highest(logLikelihoods) === gold,
    correctNorm: highest(logLikelihoods.map((sum, at) => sum / lengths[at]!)) === gold,
  };
}
