import { RondoError } from '@rondo/core';
import type { TextTokenizer } from './text-tokenizer.ts';

type Encoding = Pick<TextTokenizer, 'prefixId' | 'encode' | 'decode'>;

/** A stretch of text as rows: the first `context` ids are given, each later one is scored. */
export interface Window {
  /** Where it comes from, for messages. */
  readonly name: string;
  readonly ids: readonly number[];
  /** From 1. */
  readonly context: number;
  /** UTF-8 bytes of the scored ids. */
  readonly bytes: number;
}

export interface WindowOptions {
  /** Ids of a window, those given included. */
  readonly positions: number;
  /** Ids scored in a window, and from one window's beginning to the next. */
  readonly stride: number;
  /** Windows taken from the beginning of a text. */
  readonly max: number;
}

/**
 * Cuts a text into windows that score each of its ids once, `stride` at a time, given all that fits before them. The text
 * follows the tokenizer's prefix id, as in lm-evaluation-harness' rolling log likelihood: its first id is scored too.
 * A rest shorter than a stride is left out.
 * @throws RondoError CONFIG_INVALID for a text without one whole stride.
 */
export function textWindows(
  name: string,
  text: string,
  tokenizer: Encoding,
  { positions, stride, max }: WindowOptions,
): Window[] {
  const ids = tokenizer.encode(text);
  const count = Math.min(max, Math.floor(ids.length / stride));
  if (count === 0) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${name}: ${ids.length} tokens are less than one stride of ${stride}: give a longer text or a shorter stride`,
    );
  }
  const prefixed = [tokenizer.prefixId, ...ids];
  // Some tokenizers do not give back every byte of a text; the whole is always the text's own.
  const scale = Buffer.byteLength(text) / Buffer.byteLength(tokenizer.decode(ids));
  const bytesBefore = (end: number) => scale * Buffer.byteLength(tokenizer.decode(ids.slice(0, end)));
  return Array.from({ length: count }, (_, at) => {
    const [first, end] = [at * stride, (at + 1) * stride];
    const begin = Math.max(0, end + 1 - positions);
    const bytes = bytesBefore(end) - bytesBefore(first);
    return { name, ids: prefixed.slice(begin, end + 1), context: first + 1 - begin, bytes };
  });
}
