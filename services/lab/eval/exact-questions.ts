import { RondoError } from '@rondo/core';
import { z } from 'zod';
import { checkedLines } from './checked-json.ts';

/** A question with the one answer that is right, as the lines of a file say it. */
export interface ExactQuestion {
  /** What it is about: answers are counted for each. */
  readonly task: string;
  readonly question: string;
  readonly answer: string;
}

const text = z.string().regex(/\S/, 'more than spaces');
const schema = z.looseObject({ task: text, question: text, answer: text });

/**
 * Reads questions, one JSON object a line.
 * @throws RondoError CONFIG_INVALID naming file and line, or for a file without any.
 */
export function readExactQuestions(name: string, lines: string): ExactQuestion[] {
  const questions = checkedLines(schema, name, lines).map(({ value }) => value);
  if (questions.length > 0) return questions;
  throw new RondoError(
    'CONFIG_INVALID',
    `${name}: no question in it: a line is {"task": …, "question": …, "answer": …}`,
  );
}
