import { createHash } from 'node:crypto';
import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { positionsOf, type Question, readQuestions } from './questions.ts';
import type { EvalSuite } from './suite.ts';
import { TextTokenizer } from './text-tokenizer.ts';
import { textWindows, type Window } from './windows.ts';

/** A suite as one tokenizer reads it. */
export interface Protocol {
  readonly windows: readonly Window[];
  readonly questions: readonly Question[];
  /** The longest of them, in positions. */
  readonly positions: number;
  /** sha256 of all ids: what a tokenizer makes of the suite. */
  readonly tokens: string;
}

/** @throws RondoError CONFIG_INVALID when the suite cannot be run with this bundle; see `textWindows`. */
export async function prepareProtocol(suite: EvalSuite, bundle: Bundle): Promise<Protocol> {
  const { settings, texts } = suite;
  const tokenizer = await TextTokenizer.of(bundle);
  const windows = texts.flatMap(({ name, text }) => textWindows(name, text, tokenizer, settings.windows));
  const questions = suite.questions.flatMap(({ name, text }) =>
    readQuestions(name, text, tokenizer, settings.questionBos),
  );
  const { greedy } = settings;
  const positions = Math.max(
    settings.windows.positions,
    greedy.prompt + greedy.tokens,
    ...questions.map(positionsOf),
  );
  const { context } = bundle.manifest.shape;
  if (positions > context) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${bundle.directory}: the suite needs ${positions} positions, the model has ${context}: choose shorter windows or questions`,
    );
  }
  const hash = createHash('sha256');
  for (const { ids, context: given } of windows) hash.update(`${given}:${ids.join(' ')}\n`);
  for (const { context: given, choices, gold } of questions) {
    hash.update(`${[given, ...choices].map((row) => row.join(' ')).join('|')}=${gold}\n`);
  }
  return { windows, questions, positions, tokens: hash.digest('hex') };
}
