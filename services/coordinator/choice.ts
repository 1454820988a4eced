import type { FinishedEvent, FinishReason, PromptLogprobsEvent, TokenEvent, TokenLogprob } from '@rondo/core';
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

/** Turns a sequence's events into text, up to the first stop string. */
export class Choice {
  readonly #options: ChoiceOptions;
  readonly #text: ChoiceText;
  #tokens = 0;
  #generatedPasses = 0;
  #cachedTokens = 0;
  #stopToken: ChoiceToken | undefined;

  constructor(options: ChoiceOptions) {
    this.#options = options;
    this.#text = new ChoiceText(options);
  }

  /** What the next event adds; undefined when that is nothing yet. A delta with an end is the last: the sequence may be left. */
  take(event: GenerateStreamEvent): ChoiceDelta | undefined {
    switch (event.type) {
      case 'opened':
        this.#cachedTokens = event.cachedTokens;
        return undefined;
      case 'prompt-logprobs':
        return { text: '', tokens: [], promptTokens: event.tokens };
      case 'token':
        return this.#token(event);
      case 'finished':
        return this.#finished(event);
      case 'runs':
        return undefined;
    }
  }

  #token(event: TokenEvent): ChoiceDelta | undefined {
    const { id, logprob, top, passes } = event;
    const { stopIds, promptLength, promptDepth } = this.#options;
    this.#tokens++;
    // The first token comes from the last prompt row, whose passes are the prompt's.
    if (event.index > 0) this.#generatedPasses += passes;
    if (stopIds.includes(id)) {
      this.#stopToken = { id, logprob, top, text: '', passes };
      return undefined;
    }
    const { delta, stopped } = this.#text.push(event);
    if (stopped) {
      // Nobody is left to report what was spent; the passes of prompt rows are known beforehand.
      const promptPasses = (promptLength - this.#cachedTokens) * promptDepth;
      return { ...delta, end: this.#end('stop', promptPasses, this.#generatedPasses) };
    }
    return delta.text !== '' || delta.tokens.length > 0 ? delta : undefined;
  }

  #finished({ reason, promptPasses, generatedPasses }: FinishedEvent): ChoiceDelta {
    const { delta, stopped } = this.#text.end();
    const end = this.#end(stopped ? 'stop' : reason, promptPasses, generatedPasses);
    // A stop string in the last of the text lies before the token.
    return { ...delta, end: stopped ? end : { ...end, stopToken: this.#stopToken } };
  }

  #end(reason: FinishReason, promptPasses: number, generatedPasses: number): ChoiceEnd {
    return { reason, tokens: this.#tokens, cachedTokens: this.#cachedTokens, promptPasses, generatedPasses };
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
  /** Tokens whose text is still held back, and where that of the first begins in the whole text. */
  readonly #held: ChoiceToken[] = [];
  #start = 0;
  #shown = 0;

  constructor(options: ChoiceOptions) {
    this.#detokenizer = options.detokenizer;
    this.#stops = options.stops;
  }

  push({ id, logprob, top, passes }: TokenEvent): TextStep {
    const text = this.#detokenizer?.push(id) ?? '';
    this.#held.push({ id, logprob, top, text, passes });
    const scan = this.#stops.push(text);
    return scan.stopped ? this.#cut(scan.text) : this.#show(scan.text);
  }

  end(): TextStep {
    const scan = this.#stops.push(this.#detokenizer?.end() ?? '');
    if (scan.stopped) return this.#cut(scan.text);
    const rest = scan.text + this.#stops.end();
    return { delta: { text: rest, tokens: this.#held, promptTokens: [] }, stopped: false };
  }

  #show(text: string): TextStep {
    this.#shown += text.length;
    let count = 0;
    for (const token of this.#held) {
      if (this.#start + token.text.length > this.#shown) break;
      this.#start += token.text.length;
      count++;
    }
    return { delta: { text, tokens: this.#held.splice(0, count), promptTokens: [] }, stopped: false };
  }

  /** Ends at a stop string: tokens that lie behind the cut are left out, the one across it keeps what is before. */
  #cut(text: string): TextStep {
    this.#shown += text.length;
    const tokens: ChoiceToken[] = [];
    for (const token of this.#held) {
      if (this.#start >= this.#shown) break;
      tokens.push({ ...token, text: token.text.slice(0, this.#shown - this.#start) });
      this.#start += token.text.length;
    }
    return { delta: { text, tokens, promptTokens: [] }, stopped: true };
  }
}
