import { createHash } from 'node:crypto';
import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { EvalSuite } from './suite.ts';
import { TextTokenizer } from './text-tokenizer.ts';
import { textWindows, type Window } from './windows.ts';

/** A suite as one tokenizer reads it. */
export interface Protocol {
  readonly windows: readonly Window[];
  /** Longest sequence, in positions. */
  readonly positions: number;
  /** sha256 of all ids: what a tokenizer makes of the suite. */
  readonly tokens: string;
}

/** @throws RondoError CONFIG_INVALID when the suite cannot be run with this bundle; see `textWindows`. */
export async function prepareProtocol({ settings, texts }: EvalSuite, bundle: Bundle): Promise<Protocol> {
  const tokenizer = await TextTokenizer.of(bundle);
  const windows = texts.flatMap(({ name, text }) => textWindows(name, text, tokenizer, settings.windows));
  const { greedy } = settings;
  const positions = Math.max(settings.windows.positions, greedy.prompt + greedy.tokens);
  const { context } = bundle.manifest.shape;
  if (positions > context) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${bundle.directory}: the suite needs ${positions} positions, the model has ${context}: choose shorter windows`,
    );
  }
  const hash = createHash('sha256');
  for (const { ids, context: given } of windows) hash.update(`${given}:${ids.join(' ')}\n`);
  return { windows, positions, tokens: hash.digest('hex') };
}
