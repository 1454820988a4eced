import {
  type EmittedToken,
  type FinishedEvent,
  type GenerateSpec,
  type PromptLogprobsEvent,
  RondoError,
  type TokenEvent,
} from '@rondo/core';
import type { OpenedEvent } from '@rondo/wire';

type Asked = Pick<GenerateSpec, 'promptIds' | 'maxTokens' | 'stopIds' | 'promptLogprobs'>;

/** What the caller has of one sequence: enough to go on with it on another worker, and to pass nothing on twice. */
export class History {
  readonly emitted: EmittedToken[] = [];
  readonly #asked: Asked;
  readonly #maxDepth: number;
  /** Index of the prompt token whose log probability is due; the first has none. */
  #nextPromptToken = 1;
  #cachedTokens: number | undefined;
  #moved = false;

  constructor(asked: Asked, maxDepth: number) {
    this.#asked = asked;
    this.#maxDepth = maxDepth;
  }

  /** What the next worker is told beyond the request. */
  get rest(): Pick<GenerateSpec, 'emitted' | 'promptLogprobs'> {
    const { promptLogprobs, promptIds } = this.#asked;
    return {
      emitted: [...this.emitted],
      promptLogprobs: promptLogprobs && this.#nextPromptToken < promptIds.length,
    };
  }

  /** A worker has opened the sequence. Returns how many rows it runs again that another had run: none the first time. */
  opened({ cachedTokens }: OpenedEvent): number {
    this.#moved = this.#cachedTokens !== undefined;
    this.#cachedTokens ??= cachedTokens;
    if (!this.#moved) return 0;
    return this.#asked.promptIds.length - cachedTokens + Math.max(0, this.emitted.length - 1);
  }

  /** The event when it is news, undefined when it was seen before. @throws RondoError WORKER_LOST when one is missing. */
  token(event: TokenEvent): TokenEvent | undefined {
    const due = this.emitted.length;
    if (event.index < due) return undefined;
    if (event.index > due) {
      throw new RondoError('WORKER_LOST', `the worker sent token ${event.index} where ${due} was due`);
    }
    this.emitted.push({ id: event.id, passes: event.passes });
    return event;
  }

  /** What of the event is news. @throws RondoError WORKER_LOST when some before it are missing. */
  promptTokens(event: PromptLogprobsEvent): PromptLogprobsEvent | undefined {
    const first = this.#nextPromptToken;
    if (event.first > first) {
      throw new RondoError(
        'WORKER_LOST',
        `the worker sent prompt token ${event.first} where ${first} was due`,
      );
    }
    const tokens = event.tokens.slice(first - event.first);
    this.#nextPromptToken += tokens.length;
    return tokens.length === 0 ? undefined : { ...event, first, tokens };
  }

  /** The end as the caller is told it: of a sequence that moved, every token is billed once, as it was first emitted. */
  finished(event: FinishedEvent): FinishedEvent {
    return this.#moved ? { ...event, ...this.#passes } : event;
  }

  /** How the sequence ended, when all of it is there and only its worker did not come to say so. */
  end(epoch: number): FinishedEvent | undefined {
    const { maxTokens, stopIds, promptIds } = this.#asked;
    const last = this.emitted.at(-1);
    const stopped = last !== undefined && stopIds.includes(last.id);
    const full =
      this.emitted.length === maxTokens && (maxTokens > 0 || this.#nextPromptToken === promptIds.length);
    if (!stopped && !full) return undefined;
    return { type: 'finished', epoch, reason: stopped ? 'stop' : 'length', ...this.#passes };
  }

  get #passes(): Pick<FinishedEvent, 'promptPasses' | 'generatedPasses'> {
    const { maxTokens, promptIds, promptLogprobs } = this.#asked;
    const ran = maxTokens > 0 || promptLogprobs;
    return {
      promptPasses: ran ? (promptIds.length - (this.#cachedTokens ?? 0)) * this.#maxDepth : 0,
      // The first token comes from the last row of the prompt.
      generatedPasses: this.emitted.slice(1).reduce((sum, { passes }) => sum + passes, 0),
    };
  }
}
