import {
  type EmittedToken,
  type FinishedEvent,
  type GenerateSpec,
  LIMITS,
  type PromptLogprobsEvent,
  type TokenEvent,
} from '@rondo/core';
import type { OpenedEvent } from '@rondo/wire';
import { AnswerTerms, type Asked, faulty, type ModelTerms } from './answer-terms.ts';

/**
 * What the caller has of one sequence: enough to go on with it on another worker, and to pass nothing on twice. Every event is held to
 * what was asked and to what was said before; one that contradicts them throws RondoError WORKER_FAULTY and leaves no trace.
 */
export class History {
  readonly emitted: EmittedToken[] = [];
  readonly #asked: Asked;
  readonly #terms: AnswerTerms;
  readonly #maxDepth: number;
  /** Index of the prompt token whose log probability is due; the first has none. */
  #nextPromptToken = 1;
  #cachedTokens: number | undefined;
  #moved = false;

  constructor(asked: Asked, model: ModelTerms) {
    this.#asked = asked;
    this.#terms = new AnswerTerms(asked, model);
    this.#maxDepth = model.maxDepth;
  }

  /** What the next worker is told beyond the request. */
  get rest(): Pick<GenerateSpec, 'emitted' | 'promptLogprobs'> {
    return { emitted: [...this.emitted], promptLogprobs: !this.#promptTold };
  }

  /** A worker has opened the sequence. Returns how many rows it runs again that another had run: none the first time. */
  opened(event: OpenedEvent): number {
    this.#terms.opened(event);
    const { cachedTokens } = event;
    this.#moved = this.#cachedTokens !== undefined;
    this.#cachedTokens ??= cachedTokens;
    if (!this.#moved) return 0;
    return this.#asked.promptIds.length - cachedTokens + Math.max(0, this.emitted.length - 1);
  }

  /** The event when it is news, undefined when it was seen before. */
  token(event: TokenEvent): TokenEvent | undefined {
    const due = this.emitted.length;
    if (event.index < due) return undefined;
    if (event.index > due) throw faulty(`token ${event.index} where ${due} was due`);
    this.#terms.token(event, this.emitted.at(-1)?.id, this.#promptTold);
    this.emitted.push({ id: event.id, passes: event.passes });
    return event;
  }

  /** What of the event is news. */
  promptTokens(event: PromptLogprobsEvent): PromptLogprobsEvent | undefined {
    const first = this.#nextPromptToken;
    if (event.first > first) throw faulty(`token ${event.first} of the prompt where ${first} was due`);
    const tokens = event.tokens.slice(first - event.first);
    const news = { ...event, first, tokens };
    this.#terms.promptTokens(news);
    this.#nextPromptToken += tokens.length;
    return tokens.length === 0 ? undefined : news;
  }

  /** The end as the caller is told it: of a sequence that moved, every token is billed once, as it was first emitted. */
  finished(event: FinishedEvent): FinishedEvent {
    const end = this.end(event.epoch);
    // What a moved sequence cost before, its last worker cannot know.
    const said = this.#moved ? { ...event, ...this.#passes } : event;
    this.#terms.finished(said, end, this.emitted.length);
    return said;
  }

  /** Chunks that may have to run before its next token: those of the prompt, and replayed rows that left one by one. */
  get chunksDue(): number {
    return Math.ceil(this.#asked.promptIds.length / LIMITS.prefillChunkRows) + this.emitted.length;
  }

  /** How the sequence ended, when all of it is there and only its worker did not come to say so. */
  end(epoch: number): FinishedEvent | undefined {
    const last = this.emitted.at(-1);
    const stopped = last !== undefined && this.#asked.stopIds.includes(last.id);
    const full = this.emitted.length === this.#terms.tokensMax && this.#promptTold;
    if (!stopped && !full) return undefined;
    return { type: 'finished', epoch, reason: stopped ? 'stop' : 'length', ...this.#passes };
  }

  /** How the sequence ended when the caller wanted no more of it. */
  stopped(epoch: number): FinishedEvent {
    return { type: 'finished', epoch, reason: 'stop', ...this.#passes };
  }

  /** Whether all that was asked of the prompt's own tokens has been said. */
  get #promptTold(): boolean {
    const { promptLogprobs, promptIds } = this.#asked;
    return !promptLogprobs || this.#nextPromptToken >= promptIds.length;
  }

  get #passes(): Pick<FinishedEvent, 'promptPasses' | 'generatedPasses'> {
    const { maxTokens, promptIds, promptLogprobs } = this.#asked;
    // Of a prompt of one token there is nothing to tell: its first has no logprob.
    const ran = maxTokens > 0 || (promptLogprobs && promptIds.length > 1);
    return {
      promptPasses: ran ? (promptIds.length - (this.#cachedTokens ?? 0)) * this.#maxDepth : 0,
      // The first token comes from the last row of the prompt.
      generatedPasses: this.emitted.slice(1).reduce((sum, { passes }) => sum + passes, 0),
    };
  }
}
