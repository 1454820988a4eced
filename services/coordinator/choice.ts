import type { FinishReason, PromptLogprobsEvent, TokenEvent, TokenLogprob } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import type { Detokenizer } from './detokenizer.ts';
import type { StopStrings } from './stop-strings.ts';

/** A token that belongs to the answer, with the text it completed. */
export interface ChoiceToken {
  readonly id: number;
  readonly logprob: number;
  readonly top: readonly TokenLogprob[];
  readonly text: string;
  /** What its row spent; the first comes from the last prompt row, which runs them all. */
  readonly passes: number;
}

/** What `return_passes` adds to an answer: how deep each token's row went. */
export const tokenPasses = (tokens: readonly ChoiceToken[]): { text: string; passes: number }[] =>
  tokens.map(({ text, passes }) => ({ text, passes }));

export type PromptToken = PromptLogprobsEvent['tokens'][number];

/** How a choice ended and what it cost. */
export interface ChoiceEnd {
  readonly reason: FinishReason;
  /** Tokens generated, those behind a stop included. */
  readonly tokens: number;
  /** Tokens of the prompt that a worker had in its prefix cache: they cost no passes. */
  readonly cachedTokens: number;
  readonly promptPasses: number;
  readonly generatedPasses: number;
  /** The token that ended it and is no part of its text; absent when something else did. */
  readonly stopToken?: ChoiceToken | undefined;
}

/** The next stretch of a choice. `text` is the joined text of `tokens`, unless a character was left incomplete. */
export interface ChoiceDelta {
  readonly text: string;
  readonly tokens: readonly ChoiceToken[];
  /** Log probabilities of prompt tokens that became known; those of token 0 do not exist. */
  readonly promptTokens: readonly PromptToken[];
  readonly end?: ChoiceEnd;
}

export interface ChoiceOptions {
  /** Absent for a bundle without a tokenizer: all text stays empty. */
  readonly detokenizer?: Detokenizer | undefined;
  readonly stops: StopStrings;
  /** Ids that end the sequence and are no part of the answer. */
  readonly stopIds: readonly number[];
  readonly promptLength: number;
  /** Passes of a prompt row: prefill always runs the bundle's full depth. */
  readonly promptDepth: number;
}

/** Turns a sequence's events into text, up to the first stop string; leaving early ends the sequence. */
export async function* choiceDeltas(
  events: AsyncIterable<GenerateStreamEvent>,
  options: ChoiceOptions,
): AsyncGenerator<ChoiceDelta, void, undefined> {
  const text = new ChoiceText(options);
  let tokens = 0;
  let generatedPasses = 0;
  let cachedTokens = 0;
  let stopToken: ChoiceToken | undefined;
  for await (const event of events) {
    switch (event.type) {
      case 'opened':
        cachedTokens = event.cachedTokens;
        break;
      case 'prompt-logprobs':
        yield { text: '', tokens: [], promptTokens: event.tokens };
        break;
      case 'token': {
        tokens++;
        // The first token comes from the last prompt row, whose passes are the prompt's.
        if (event.index > 0) generatedPasses += event.passes;
        if (options.stopIds.includes(event.id)) {
          stopToken = {
            id: event.id,
            logprob: event.logprob,
            top: event.top,
            text: '',
            passes: event.passes,
          };
          break;
        }
        const step = text.push(event);
        if (step.stopped) {
          // Nobody is left to report what was spent; the passes of prompt rows are known beforehand.
          const promptPasses = (options.promptLength - cachedTokens) * options.promptDepth;
          const end = { reason: 'stop', tokens, cachedTokens, promptPasses, generatedPasses } as const;
          yield { ...step.delta, end };
          return;
        }
        if (step.delta.text !== '' || step.delta.tokens.length > 0) yield step.delta;
        break;
      }
      case 'finished': {
        const step = text.end();
        const reason = step.stopped ? 'stop' : event.reason;
        const { promptPasses, generatedPasses: spent } = event;
        const end = { reason, tokens, cachedTokens, promptPasses, generatedPasses: spent } as const;
        // A stop string in the last of the text lies before the token.
        yield { ...step.delta, end: step.stopped ? end : { ...end, stopToken } };
        return;
      }
    }
  }
}

interface TextStep {
  readonly delta: ChoiceDelta;
  readonly stopped: boolean;
}

/** Lines tokens up with the text that may be shown: a token comes out together with the last of its text. */
class ChoiceText {
  readonly #detokenizer: Detokenizer | undefined;
  readonly #stops: StopStrings;
  /** Tokens whose text is still held back, with where it begins and ends in the whole text. */
  #held: { readonly token: ChoiceToken; readonly start: number; readonly end: number }[] = [];
  #decoded = 0;
  #shown = 0;

  constructor(options: ChoiceOptions) {
    this.#detokenizer = options.detokenizer;
    this.#stops = options.stops;
  }

  push(event: TokenEvent): TextStep {
    const text = this.#detokenizer?.push(event.id) ?? '';
    const start = this.#decoded;
    this.#decoded += text.length;
    const { id, logprob, top, passes } = event;
    this.#held.push({ token: { id, logprob, top, text, passes }, start, end: this.#decoded });
    const scan = this.#stops.push(text);
    return scan.stopped ? this.#cut(scan.text) : this.#show(scan.text);
  }

  end(): TextStep {
    const scan = this.#stops.push(this.#detokenizer?.end() ?? '');
    if (scan.stopped) return this.#cut(scan.text);
    const rest = scan.text + this.#stops.end();
    const tokens = this.#held.map(({ token }) => token);
    return { delta: { text: rest, tokens, promptTokens: [] }, stopped: false };
  }

  #show(text: string): TextStep {
    this.#shown += text.length;
    const shown = this.#held.filter(({ end }) => end <= this.#shown);
    this.#held = this.#held.slice(shown.length);
    const tokens = shown.map(({ token }) => token);
    return { delta: { text, tokens, promptTokens: [] }, stopped: false };
  }

  /** Ends at a stop string: tokens that lie behind the cut are left out, the one across it keeps what is before. */
  #cut(text: string): TextStep {
    this.#shown += text.length;
    const tokens = this.#held
      .filter(({ start }) => start < this.#shown)
      .map(({ token, start }) => ({ ...token, text: token.text.slice(0, this.#shown - start) }));
    return { delta: { text, tokens, promptTokens: [] }, stopped: true };
  }
}
