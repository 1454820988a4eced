import { type Attributes, type TraceContext, traceparentOf } from '@rondo/chassis';
import {
  contains,
  type ErrorCode,
  type GenerateSpec,
  type RunRecord,
  type RunsEvent,
  type Stage,
  type WorkerId,
} from '@rondo/core';
import type { OpenSequence } from './opening.ts';

/** A run in the time of the request it belongs to: all times in milliseconds since that came in. */
export interface TimedRun extends Omit<RunRecord, 'readyMs' | 'signal'> {
  readonly epoch: number;
  readonly startMs: number;
  readonly signal: number | null;
  /** Index of its pass's stage on the route; null outside the block. */
  readonly stage: number | null;
}

/** One opening of a sequence on the workers of a route: the first, or one that goes on elsewhere. */
export interface Stay {
  readonly epoch: number;
  /** When it began to look for workers, asked those that took it, and was opened there. */
  readonly soughtMs: number;
  readonly askedMs: number;
  readonly openedMs: number;
  readonly home: string;
  readonly workers: readonly string[];
  readonly stages: readonly Stage[];
  readonly cachedTokens: number;
  /** Tokens that were out by then: their rows run again. */
  readonly emitted: number;
}

export interface TimelineEvent {
  readonly atMs: number;
  readonly name: string;
  readonly attributes: Attributes;
}

/** What a sequence's timeline shares with the others of its request. */
export interface TimelineHooks {
  /** Milliseconds since the request came in. */
  now(): number;
  /** Since 1970 by this process, of the moment the request came in. */
  readonly startedMs: number;
  /** Takes room for so many runs and tokens; returns for how many there was some. */
  room(count: number): number;
  /** What its runs and tokens are kept for; without it only when each stay began and ended is. */
  readonly detailed: boolean;
  readonly context: TraceContext;
}

/** What became of one sequence, from its arrival to its end, as far as anybody wants to know. */
export class SequenceTimeline {
  readonly promptRows: number;
  readonly stays: Stay[] = [];
  readonly runs: TimedRun[] = [];
  /** When each token came. */
  readonly tokenMs: number[] = [];
  readonly events: TimelineEvent[] = [];
  endMs: number | undefined;
  errorCode: ErrorCode | undefined;
  truncated = false;
  readonly #hooks: TimelineHooks;
  /** The first search begins with the request: to be read and planned is part of its wait. */
  #soughtMs = 0;
  /** Of the search that is on: who waits in line is refused by the same workers ten times a second. */
  readonly #refusals = new Set<string>();

  constructor(promptRows: number, hooks: TimelineHooks) {
    this.promptRows = promptRows;
    this.#hooks = hooks;
  }

  /** Of its request, when that is sampled. */
  get traceId(): string | undefined {
    const { sampled, traceId } = this.#hooks.context;
    return sampled ? traceId : undefined;
  }

  /** What its workers are asked beyond the request. */
  get asks(): Pick<GenerateSpec, 'traceparent' | 'tellRuns'> {
    const { detailed, context } = this.#hooks;
    return {
      ...(detailed && { tellRuns: true }),
      ...(context.sampled && { traceparent: traceparentOf(context) }),
    };
  }

  /** It looks for other workers than those it has or had. */
  leaves(why: string, attributes: Attributes): void {
    this.#soughtMs = this.#hooks.now();
    this.#refusals.clear();
    this.#happened(why, attributes);
  }

  /** A worker did not take it; told once of each reason, until it looks for workers anew. */
  refused(by: WorkerId, code: ErrorCode): void {
    const refusal = `${by} ${code}`;
    if (this.#refusals.has(refusal)) return;
    this.#refusals.add(refusal);
    this.#happened('refused', { 'rondo.worker': by, 'rondo.code': code });
  }

  /** Workers have taken it; `emitted` tokens are out. */
  opened({ route, opened: { cachedTokens }, openMs }: OpenSequence, emitted: number): void {
    const openedMs = this.#hooks.now();
    this.stays.push({
      epoch: route.epoch,
      soughtMs: this.#soughtMs,
      askedMs: openedMs - openMs,
      openedMs,
      home: route.home.id,
      workers: [...new Set([route.home.id, ...route.stages.map(({ worker }) => worker.id)])],
      stages: route.stages,
      cachedTokens,
      emitted,
    });
  }

  token(): void {
    if (!this.#hooks.detailed) return;
    if (this.#hooks.room(1) === 1) this.tokenMs.push(this.#hooks.now());
    else this.truncated = true;
  }

  /** `behindMs`: how far a worker's clock is behind this process's. */
  ran({ epoch, runs, dropped }: RunsEvent, behindMs: (worker: WorkerId) => number): void {
    const room = this.#hooks.room(runs.length);
    if (room < runs.length || dropped > 0) this.truncated = true;
    const stages = this.stays.findLast((stay) => stay.epoch === epoch)?.stages ?? [];
    for (const { readyMs, signal = null, ...run } of runs.slice(0, room))
      this.runs.push({
        ...run,
        epoch,
        signal,
        stage: run.phase === 'block' ? stages.findIndex(({ depths }) => contains(depths, run.depth)) : null,
        startMs: readyMs + behindMs(run.worker) - this.#hooks.startedMs,
      });
  }

  failed(code: ErrorCode): void {
    this.errorCode = code;
  }

  end(): void {
    this.endMs ??= this.#hooks.now();
  }

  #happened(name: string, attributes: Attributes): void {
    if (this.#hooks.room(1) === 1) this.events.push({ atMs: this.#hooks.now(), name, attributes });
  }
}
