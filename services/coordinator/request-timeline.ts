import type { Attributes, RootContext, TraceContext } from '@rondo/chassis';
import { type Clock, type ErrorCode, LIMITS, RondoError, type SamplingParams } from '@rondo/core';
import type { AnswerListener } from './answer-listener.ts';
import type { AnswerPlan } from './answer-plan.ts';
import type { ChoiceDelta, ChoiceEnd } from './choice.ts';
import type { Owner } from './owner.ts';
import type { RequestState } from './request-detail.ts';
import type { SequenceRequest } from './sequence-life.ts';
import { SequenceTimeline, type TimedRun } from './sequence-timeline.ts';

/** What the trace of an answer says that no client waits for. */
export interface Background {
  readonly name: 'batch_line' | 'shadow';
  /** The spans that it comes from, of other traces. */
  readonly links: readonly Pick<TraceContext, 'traceId' | 'spanId'>[];
  readonly attributes: Attributes;
  /** The ids of what it comes from, by their names in the log. */
  readonly ids: Readonly<Record<string, string>>;
  /** Why it was cancelled; asked when it was. */
  readonly cancelledFor: () => string;
}

/** What is known of a request when it begins. */
export interface RequestFacts {
  readonly id: string;
  readonly owner: Owner;
  /** The model that answers, and the name that was asked for. */
  readonly model: string;
  readonly asked: string;
  readonly operation: 'chat' | 'text_completion';
  readonly stream: boolean;
  readonly promptTokens: number;
  readonly context: RootContext;
  /** Its runs and tokens are kept. */
  readonly detailed: boolean;
  /** Absent: a client waits. */
  readonly background?: Background | undefined;
}

/** What a request asked for, as far as it is told: never its prompt, which a remembered request would keep with it. */
export interface AskedFor {
  readonly maxTokens: number;
  readonly sampling: Omit<SamplingParams, 'logitBias'>;
}

/** What became of one request; it hears the answer as it goes out. */
export class RequestTimeline implements AnswerListener {
  readonly facts: RequestFacts;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly sequences: SequenceTimeline[] = [];
  /** Of the first choice: what the endpoint was asked for. */
  asked: AskedFor | undefined;
  firstTokenMs: number | undefined;
  totalMs: number | undefined;
  errorCode: ErrorCode | undefined;
  readonly #clock: Clock;
  readonly #beganMs: number;
  readonly #ended: (timeline: RequestTimeline) => void;
  /** By choice; those that run are holes. */
  readonly #ends: ChoiceEnd[] = [];
  #tokens = 0;
  /** Runs, tokens and events that are kept. */
  #kept = 0;

  /** `ended` is told once, at its end; `arrivedMs` is the clock's time when its headers were there: what is done before a plan is made takes time, too. */
  constructor(
    facts: RequestFacts,
    clock: Clock,
    ended: (timeline: RequestTimeline) => void,
    arrivedMs = clock.now(),
  ) {
    this.facts = facts;
    this.#clock = clock;
    this.#beganMs = arrivedMs;
    this.startedMs = performance.timeOrigin + performance.now() - this.now;
    this.#ended = ended;
  }

  /** The same plan, whose sequences' lives are written down from now on. */
  followed(plan: AnswerPlan): AnswerPlan {
    const choices = plan.choices.map((choice) => ({ ...choice, request: this.follow(choice.request) }));
    return { ...plan, choices };
  }

  /** The same request for one sequence, whose life is written down from now on. */
  follow(request: SequenceRequest): SequenceRequest {
    this.asked ??= askedOf(request);
    const timeline = new SequenceTimeline(request.promptIds.length, {
      now: () => this.now,
      startedMs: this.startedMs,
      detailed: this.facts.detailed,
      context: this.facts.context,
      room: (count) => {
        const taken = Math.min(count, LIMITS.requestRuns - this.#kept);
        this.#kept += taken;
        return taken;
      },
    });
    this.sequences.push(timeline);
    return { ...request, timeline };
  }

  hear(index: number, { tokens, end }: ChoiceDelta): void {
    if (tokens.length > 0) this.firstTokenMs ??= this.now;
    this.#tokens += tokens.length;
    if (end !== undefined) this.#ends[index] = end;
  }

  end(failure?: unknown): void {
    if (this.totalMs !== undefined) return;
    if (failure !== undefined) this.errorCode = RondoError.from(failure).code;
    this.totalMs = this.now;
    this.#ended(this);
  }

  /** Milliseconds since it came in. */
  get now(): number {
    return this.#clock.now() - this.#beganMs;
  }

  get state(): RequestState {
    if (this.totalMs === undefined) return 'running';
    if (this.finishReasons.length > 0 && this.finishReasons.length === this.sequences.length)
      return 'finished';
    const code = this.error;
    return code === undefined || code === 'CANCELLED' ? 'cancelled' : 'failed';
  }

  /** Why it was cancelled, if it was. */
  get cancelledFor(): string | undefined {
    if (this.state !== 'cancelled') return undefined;
    return this.facts.background ? this.facts.background.cancelledFor() : 'client-left';
  }

  get error(): ErrorCode | undefined {
    return this.errorCode ?? this.sequences.find(({ errorCode }) => errorCode !== undefined)?.errorCode;
  }

  /** Of the choices that have ended well. */
  get finishReasons(): string[] {
    return this.#ends.flatMap(({ reason }) => [reason]);
  }

  /** Tokens so far; at the end with those behind a stop. */
  get completionTokens(): number {
    const ended = this.#ends.reduce((sum, { tokens }) => sum + tokens, 0);
    return Math.max(this.#tokens, ended);
  }

  /** Passes of all its rows: of each choice those told of while it runs, those billed at its end. */
  get passes(): number {
    return this.sequences.reduce((sum, { runs }, choice) => {
      const end = this.#ends[choice];
      return sum + (end === undefined ? passesOf(runs) : end.promptPasses + end.generatedPasses);
    }, 0);
  }

  /** Ids of all workers that it was on. */
  get workers(): string[] {
    return [...new Set(this.sequences.flatMap(({ stays }) => stays.flatMap(({ workers }) => workers)))];
  }

  get truncated(): boolean {
    return this.sequences.some(({ truncated }) => truncated);
  }

  /** How many runs, tokens and events it holds. */
  get kept(): number {
    return this.#kept;
  }
}

const askedOf = ({ maxTokens, sampling: { logitBias: _, ...sampling } }: SequenceRequest): AskedFor => ({
  maxTokens,
  sampling,
});

const passesOf = (runs: readonly TimedRun[]): number =>
  runs.reduce((rows, run) => rows + (run.phase === 'block' ? run.rows : 0), 0);
