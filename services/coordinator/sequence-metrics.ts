import type { Metrics } from '@rondo/chassis';
import type { Clock, ErrorCode, FinishedEvent } from '@rondo/core';
import { LOSS_CAUSES, type LossCause } from './loss.ts';

/** Seconds; vLLM's buckets, so that dashboards can be compared. */
const FIRST_TOKEN_S = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
  2560,
];
const BETWEEN_TOKENS_S = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const PASSES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const WHOLE_S = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

/** Follows one sequence; the calls come in the order of its life. */
export interface SequenceWatch {
  opened(): void;
  /** One has come whose row spent so many passes. */
  token(passes: number): void;
  finished(event: FinishedEvent): void;
  /** It ended with this error, and not because nobody wanted it any more. */
  failed(code: ErrorCode): void;
  /** Always the last call, however the sequence ended. */
  end(): void;
}

/** What the coordinator counts about sequences. Intervals are between stamps of this process only. */
export class SequenceMetrics {
  readonly #running;
  readonly #waiting;
  readonly #promptTokens;
  readonly #generatedTokens;
  readonly #passes;
  readonly #ended;
  readonly #dropped;
  readonly #recoveries;
  readonly #contradictions;
  readonly #recomputed;
  readonly #queue;
  readonly #firstToken;
  readonly #betweenTokens;
  readonly #prefill;
  readonly #decode;
  readonly #exits;
  readonly #allowed;
  readonly #whole;

  /** `prefix`: what the names of the metrics begin with. */
  constructor(metrics: Metrics, prefix = 'rondo') {
    this.#running = metrics.gauge(`${prefix}_sequences_running`, 'Sequences with pages on a worker');
    this.#waiting = metrics.gauge(`${prefix}_sequences_waiting`, 'Sequences that no worker has opened yet');
    this.#promptTokens = metrics.counter(
      `${prefix}_prompt_tokens_total`,
      'Prompt tokens of opened sequences',
    );
    this.#generatedTokens = metrics.counter(
      `${prefix}_generated_tokens_total`,
      'Tokens received from workers',
    );
    this.#passes = metrics.counter(`${prefix}_passes_total`, 'Passes of finished sequences', ['kind']);
    this.#ended = metrics.counter(
      `${prefix}_sequences_ended_total`,
      'Sequences by how they ended: a finish reason, the code of an error, or aborted',
      ['reason'],
    );
    this.#dropped = metrics.counter(`${prefix}_dropped_events_total`, 'Worker events that were dropped', [
      'reason',
    ]);
    this.#recoveries = metrics.counter(
      `${prefix}_recoveries_total`,
      'Sequences that went on to another worker, by what was wrong with theirs',
      ['cause'],
    );
    // From zero on, so that the first of each shows as a rise.
    for (const cause of LOSS_CAUSES) this.#recoveries.inc({ cause }, 0);
    this.#contradictions = metrics.counter(
      `${prefix}_contradictions_total`,
      'Sequences of which a worker said what cannot answer the request; the log names the worker',
    );
    this.#recomputed = metrics.counter(
      `${prefix}_recomputed_tokens_total`,
      'Tokens of prompts and answers whose rows were given to another worker to run again',
    );
    this.#queue = metrics.histogram(`${prefix}_queue_seconds`, 'Arrival to open', FIRST_TOKEN_S);
    this.#firstToken = metrics.histogram(
      `${prefix}_time_to_first_token_seconds`,
      'Arrival to first token',
      FIRST_TOKEN_S,
    );
    this.#betweenTokens = metrics.histogram(
      `${prefix}_inter_token_seconds`,
      'Token to next token',
      BETWEEN_TOKENS_S,
    );
    this.#prefill = metrics.histogram(`${prefix}_prefill_seconds`, 'Open to first token', FIRST_TOKEN_S);
    this.#decode = metrics.histogram(`${prefix}_decode_seconds`, 'First token to end', WHOLE_S);
    this.#exits = metrics.histogram(
      `${prefix}_token_passes`,
      'Passes that the row of one token spent: the depth at which it left the loop',
      PASSES,
    );
    this.#allowed = metrics.counter(
      `${prefix}_token_passes_allowed_total`,
      'Passes that rows of tokens might have spent by their exit rules',
    );
    this.#whole = metrics.histogram(`${prefix}_sequence_seconds`, 'Arrival to end', WHOLE_S);
  }

  dropped(reason: 'stale-epoch' | 'repeated'): void {
    this.#dropped.inc({ reason });
  }

  recovered(cause: LossCause): void {
    this.#recoveries.inc({ cause });
  }

  contradicted(): void {
    this.#contradictions.inc();
  }

  recomputed(tokens: number): void {
    this.#recomputed.inc(tokens);
  }

  /** `depthMax`: passes that its exit rule lets a row spend. `traceId`: of its request, when that is sampled. */
  watch(promptTokens: number, depthMax: number, clock: Clock, traceId?: string): SequenceWatch {
    const arrived = clock.now();
    const seconds = (since: number) => (clock.now() - since) / 1000;
    let openedMs: number | undefined;
    let firstTokenMs: number | undefined;
    let lastToken: number | undefined;
    let reason: string = 'aborted';
    this.#waiting.inc();
    return {
      opened: () => {
        openedMs = clock.now();
        this.#waiting.dec();
        this.#running.inc();
        this.#promptTokens.inc(promptTokens);
        this.#queue.observe({}, seconds(arrived), traceId);
      },
      token: (passes) => {
        this.#generatedTokens.inc();
        this.#exits.observe(passes);
        this.#allowed.inc(depthMax);
        if (lastToken === undefined) {
          this.#firstToken.observe({}, seconds(arrived), traceId);
          this.#prefill.observe({}, seconds(openedMs ?? arrived), traceId);
        } else this.#betweenTokens.observe({}, seconds(lastToken), traceId);
        lastToken = clock.now();
        firstTokenMs ??= lastToken;
      },
      finished: (event) => {
        reason = event.reason;
        this.#passes.inc({ kind: 'prompt' }, event.promptPasses);
        this.#passes.inc({ kind: 'generated' }, event.generatedPasses);
      },
      failed: (code) => {
        reason = code;
      },
      end: () => {
        if (openedMs !== undefined) this.#running.dec();
        else this.#waiting.dec();
        this.#ended.inc({ reason });
        if (firstTokenMs !== undefined) this.#decode.observe({}, seconds(firstTokenMs), traceId);
        this.#whole.observe({}, seconds(arrived), traceId);
      },
    };
  }
}
