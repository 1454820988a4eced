import type { TokenLogprob } from '@rondo/core';
import type { TextCodec } from './text.ts';

/** Log probability that OpenAI reports for what cannot happen: JSON has no infinity. */
const IMPOSSIBLE = -9999;

export interface ReportedToken {
  readonly id: number;
  /** Null for the first token of a prompt. */
  readonly logprob: number | null;
  readonly top: readonly TokenLogprob[];
  /** Text that the token adds to the answer. */
  readonly text: string;
}

/** Log probabilities in the format of /v1/completions: parallel lists, one entry per token. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  /** Where each token's text begins in the answer, in Unicode characters. */
  readonly text_offset: number[];
}

interface ChatTokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: number[] | null;
}

export interface ChatLogprobs {
  readonly content: (ChatTokenLogprob & { readonly top_logprobs: ChatTokenLogprob[] })[];
  readonly refusal: null;
}

const finite = (logprob: number): number => Math.max(logprob, IMPOSSIBLE);

/** A token's name in a report: its text, its bytes when they are no whole characters, its id without a tokenizer. */
export function tokenLabel(codec: TextCodec | undefined, id: number): string {
  if (codec === undefined) return `token_id:${id}`;
  const bytes = codec.rawBytes(id);
  const text = Buffer.from(bytes).toString('utf8');
  if (Buffer.from(text, 'utf8').equals(bytes)) return text;
  return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

/** `offset` is where the first token's text begins, in Unicode characters. */
export function completionLogprobs(
  codec: TextCodec | undefined,
  tokens: readonly ReportedToken[],
  offset: number,
): CompletionLogprobs {
  const report: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  let next = offset;
  for (const { id, logprob, top, text } of tokens) {
    report.tokens.push(tokenLabel(codec, id));
    report.token_logprobs.push(logprob === null ? null : finite(logprob));
    report.top_logprobs.push(logprob === null ? null : topByLabel(codec, [...top, { id, logprob }]));
    report.text_offset.push(next);
    next += characters(text);
  }
  return report;
}

export const characters = (text: string): number => [...text].length;

/** Two ids may share a name; the likelier one keeps it. */
function topByLabel(
  codec: TextCodec | undefined,
  candidates: readonly TokenLogprob[],
): Record<string, number> {
  const byLabel = new Map<string, number>();
  for (const { id, logprob } of candidates) {
    const label = tokenLabel(codec, id);
    byLabel.set(label, Math.max(byLabel.get(label) ?? IMPOSSIBLE, finite(logprob)));
  }
  return Object.fromEntries(byLabel);
}

export const chatLogprobs = (
  codec: TextCodec | undefined,
  tokens: readonly { readonly id: number; readonly logprob: number; readonly top: readonly TokenLogprob[] }[],
): ChatLogprobs => ({
  content: tokens.map((token) => ({
    ...chatToken(codec, token),
    top_logprobs: token.top.map((candidate) => chatToken(codec, candidate)),
  })),
  refusal: null,
});

const chatToken = (codec: TextCodec | undefined, { id, logprob }: TokenLogprob): ChatTokenLogprob => ({
  token: tokenLabel(codec, id),
  logprob: finite(logprob),
  bytes: codec === undefined ? null : Array.from(codec.rawBytes(id)),
});
