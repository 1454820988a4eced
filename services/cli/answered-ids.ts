import type { TextCodec } from '@rondo/coordinator';
import { RondoError } from '@rondo/core';
import type { AskedExactly } from '@rondo/lab';

/**
 * The ids of `prompt`, and those that spell `answer` behind them: what the whole has beyond the prompt, since a SentencePiece tokenizer
 * begins every text with a space. Where the two grow together the answer's own ids, if they spell it.
 * @throws RondoError CONFIG_INVALID for an answer that no ids spell behind this prompt.
 */
export function answeredIds(
  text: Pick<TextCodec, 'encode' | 'rawBytes'>,
  prompt: string,
  answer: string,
): Pick<AskedExactly, 'prompt' | 'answer'> {
  const [given, whole] = [text.encode(prompt, false), text.encode(prompt + answer, false)];
  if (given.every((id, at) => id === whole[at])) return { prompt: given, answer: whole.slice(given.length) };
  const alone = text.encode(answer, false);
  const spelt = Buffer.concat(alone.map((id) => text.rawBytes(id))).toString();
  if (spelt === answer) return { prompt: given, answer: alone };
  throw new RondoError(
    'CONFIG_INVALID',
    `--exact: the answer ${JSON.stringify(answer)} has no ids of its own behind the prompt's ${JSON.stringify(prompt.slice(-20))}: begin it otherwise`,
  );
}
