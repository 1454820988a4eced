import type { ExitRule } from './exit-rule.ts';
import type { SequenceId } from './ids.ts';
import type { Route } from './route.ts';
import type { RunsEvent } from './run-record.ts';
import type { SamplingParams, TokenLogprob } from './sampling.ts';

/** A token that went out, and the passes its row spent. */
export interface EmittedToken {
  readonly id: number;
  readonly passes: number;
}

/** Everything a home worker needs to bring one sequence from its prompt to its last token. */
export interface GenerateSpec {
  readonly sequenceId: SequenceId;
  readonly route: Route;
  readonly bundleDigest: string;
  /** At least one id, each below the vocabulary size. */
  readonly promptIds: readonly number[];
  /**
   * Tokens that the sequence has emitted already, on a worker that was lost or drained: their rows run again, with the
   * passes recorded, and the next token has index `emitted.length`.
   */
  readonly emitted: readonly EmittedToken[];
  /** Emitted tokens included. */
  readonly maxTokens: number;
  /** Token ids that end the sequence; empty for `ignore_eos`. */
  readonly stopIds: readonly number[];
  readonly sampling: SamplingParams;
  readonly exit: ExitRule;
  /** Alternatives to report with each token, 0…20; undefined reports no log probabilities. */
  readonly topLogprobs?: number | undefined;
  /** Report log probabilities of the prompt's own tokens (`echo` with `logprobs`). */
  readonly promptLogprobs: boolean;
  /** Nobody waits for its tokens one by one: beside sequences without this it runs a few rows at a time. */
  readonly background?: boolean | undefined;
  /** W3C trace context: of a request that is sampled, and only then. */
  readonly traceparent?: string | undefined;
  /** The worker tells what each run did for this sequence. */
  readonly tellRuns?: boolean | undefined;
}

export interface TokenEvent {
  readonly type: 'token';
  readonly epoch: number;
  /** 0-based among the generated tokens. */
  readonly index: number;
  readonly id: number;
  readonly logprob: number;
  readonly top: readonly TokenLogprob[];
  /** Passes this token's row spent. */
  readonly passes: number;
}

/** Log probabilities of prompt tokens `first`…; the first token of a prompt has none and is left out. */
export interface PromptLogprobsEvent {
  readonly type: 'prompt-logprobs';
  readonly epoch: number;
  /** Index in the prompt of the first token reported here (≥ 1). */
  readonly first: number;
  readonly tokens: readonly {
    readonly id: number;
    readonly logprob: number;
    readonly top: readonly TokenLogprob[];
  }[];
}

export type FinishReason = 'stop' | 'length';

export interface FinishedEvent {
  readonly type: 'finished';
  readonly epoch: number;
  readonly reason: FinishReason;
  /** Passes spent on prompt rows and on generated rows. */
  readonly promptPasses: number;
  readonly generatedPasses: number;
}

export type GenerateEvent = TokenEvent | PromptLogprobsEvent | FinishedEvent | RunsEvent;
