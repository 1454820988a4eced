import {
  type FinishedEvent,
  type GenerateSpec,
  type PromptLogprobsEvent,
  RondoError,
  type TokenEvent,
  type TokenLogprob,
} from '@rondo/core';
import type { OpenedEvent } from '@rondo/wire';

/** What the model makes impossible in an answer. */
export interface ModelTerms {
  readonly maxDepth: number;
  readonly vocab: number;
  /** Positions of prompt and answer together. */
  readonly context: number;
  /** Tokens whose log probabilities a row can tell at most. */
  readonly candidates: number;
}

/** What of a request an answer is held to. */
export type Asked = Pick<
  GenerateSpec,
  'promptIds' | 'maxTokens' | 'stopIds' | 'exit' | 'topLogprobs' | 'promptLogprobs'
>;

/**
 * What a worker can have said of one sequence if it did what it was asked. Anything else is a fault of that worker: it is
 * not passed on, and the sequence goes on elsewhere. Every method throws RondoError WORKER_FAULTY that names what was said.
 */
export class AnswerTerms {
  /** Tokens of a whole answer that no stop id ends. */
  readonly tokensMax: number;
  readonly #asked: Asked;
  readonly #model: ModelTerms;
  readonly #tops: number;

  constructor(asked: Asked, model: ModelTerms) {
    this.#asked = asked;
    this.#model = model;
    this.tokensMax = Math.min(asked.maxTokens, model.context - asked.promptIds.length);
    this.#tops = Math.min(asked.topLogprobs ?? 0, model.candidates);
  }

  /** The last row of a prompt always runs: its logits give the next token. */
  opened({ cachedTokens }: OpenedEvent): void {
    const { promptIds } = this.#asked;
    if (cachedTokens < promptIds.length) return;
    throw faulty(`${cachedTokens} cached tokens of a prompt of ${promptIds.length}`);
  }

  /** `event` is the token due; `before` are the ids before it, `promptTold` whether all that was asked of the prompt is there. */
  token(
    { index, id, passes, logprob, top }: TokenEvent,
    before: number | undefined,
    promptTold: boolean,
  ): void {
    const what = `token ${index}`;
    if (index >= this.tokensMax) throw faulty(`${what} of at most ${this.tokensMax}`);
    if (before !== undefined && this.#asked.stopIds.includes(before)) {
      throw faulty(`${what} after the stop id ${before}`);
    }
    if (!promptTold) throw faulty(`${what} before all log probabilities of the prompt`);
    const { least, most } = this.#passesOf(index);
    if (!(passes >= least && passes <= most)) {
      throw faulty(`${what} after ${passes} passes, expected ${least}…${most}`);
    }
    this.#logprobs(what, { id, logprob, top });
  }

  /** `event` begins at the prompt token due. */
  promptTokens({ first, tokens }: PromptLogprobsEvent): void {
    const { promptIds, promptLogprobs } = this.#asked;
    if (!promptLogprobs) throw faulty('log probabilities of a prompt that nobody asked for');
    for (const [offset, token] of tokens.entries()) {
      const what = `token ${first + offset} of the prompt`;
      if (token.id !== promptIds[first + offset]) {
        throw faulty(`${what} as ${token.id}, it is ${promptIds[first + offset] ?? 'not there'}`);
      }
      this.#logprobs(what, token);
    }
  }

  /** `expected` is the end that what was said before leads to; undefined when it leads to none yet. */
  finished(event: FinishedEvent, expected: FinishedEvent | undefined, tokens: number): void {
    if (expected === undefined) throw faulty(`the end (${event.reason}) after ${tokens} tokens`);
    for (const field of ['reason', 'promptPasses', 'generatedPasses'] as const) {
      if (event[field] === expected[field]) continue;
      throw faulty(`an end with ${field} ${event[field]} where ${expected[field]} is due`);
    }
  }

  /** The first token comes from the prompt's last row, and prompt rows run every pass. */
  #passesOf(index: number): { least: number; most: number } {
    const { exit } = this.#asked;
    const { maxDepth } = this.#model;
    if (index === 0) return { least: maxDepth, most: maxDepth };
    return { least: exit.policy === 'none' ? exit.maxDepth : exit.minDepth, most: exit.maxDepth };
  }

  #logprobs(what: string, token: TokenLogprob & { readonly top: readonly TokenLogprob[] }): void {
    const { top } = token;
    if (top.length !== this.#tops) {
      throw faulty(`${what} with ${top.length} alternatives where ${this.#tops} are due`);
    }
    this.#logprob(what, token);
    for (const other of top) this.#logprob(what, other);
  }

  #logprob(what: string, { id, logprob }: TokenLogprob): void {
    const { vocab } = this.#model;
    if (!(id < vocab)) throw faulty(`${what} with id ${id} of a vocabulary of ${vocab}`);
    if (Number.isNaN(logprob)) throw faulty(`${what} with a log probability that is no number`);
  }
}

/** What was said cannot answer what was asked. */
export const faulty = (said: string): RondoError =>
  new RondoError('WORKER_FAULTY', `the worker told of ${said}: no answer to what it was asked`);
