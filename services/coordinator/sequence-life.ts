import { type GenerateSpec, LIMITS, RondoError, type SequenceId, type WorkerId } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import { faulty } from './answer-terms.ts';
import { EventWait } from './event-wait.ts';
import { History } from './history.ts';
import { causeOf, goesOn, type Loss } from './loss.ts';
import { blame, type Opening, type OpeningOptions, type OpenSequence, type Seeker } from './opening.ts';
import type { Movement, Stuck } from './patience.ts';
import type { Placement } from './placement.ts';
import type { SequenceWatch } from './sequence-metrics.ts';
import type { SequenceTimeline } from './sequence-timeline.ts';

/** What a request asks of one sequence; where it runs is decided here. */
export type SequenceRequest = Omit<
  GenerateSpec,
  'sequenceId' | 'route' | 'bundleDigest' | 'emitted' | 'background' | 'traceparent' | 'tellRuns'
> & {
  /** For this sequence instead of the coordinator's. */
  readonly placement?: Placement | undefined;
  /** Where its life is written down; absent: nowhere. */
  readonly timeline?: SequenceTimeline | undefined;
};

/**
 * What a sequence does that no worker has room for: wait in line, or give up at once and leave what comes free to others. One that
 * gives up runs in the background, too.
 */
export type WhenFull = 'wait' | 'refuse';

/** After a try to leave a draining worker that found nobody: how long until the next, in milliseconds. */
const MOVE_AGAIN_MS = 500;
/** Runs that a row takes outside the block: prelude, coda and head. */
const RUNS_OUTSIDE = 3;

/** One sequence on its way from worker to worker. */
export class SequenceLife {
  readonly #options: OpeningOptions;
  readonly #opening: Opening;
  readonly #watch: SequenceWatch;
  readonly #timeline: SequenceTimeline | undefined;
  readonly #history: History;
  readonly #seeker: Seeker & { recovering: boolean; waits: boolean };
  /** Since the last new token. */
  #losses: Loss[] = [];
  readonly #shunned = new Set<WorkerId>();
  #open: OpenSequence | undefined;
  #finished = false;
  #moveAt = Number.NEGATIVE_INFINITY;
  /** The event that is waited for. */
  #due: Promise<IteratorResult<GenerateStreamEvent>> | undefined;
  /** Ends the wait for it. */
  #disturb: () => void = () => {};
  readonly #wait: EventWait;
  /** Its rows give way to others, and its prompt goes in shorter chunks. */
  readonly #background: boolean;
  /** Whether a token has come since it was opened there. */
  #decodes = false;
  #stuck: Stuck | undefined;

  constructor(
    id: SequenceId,
    request: SequenceRequest,
    signal: AbortSignal,
    whenFull: WhenFull,
    options: OpeningOptions,
    opening: Opening,
    watch: SequenceWatch,
  ) {
    this.#options = options;
    this.#opening = opening;
    this.#watch = watch;
    this.#background = whenFull === 'refuse';
    this.#history = new History(request, options);
    this.#wait = new EventWait(options.clock);
    let epoch = 0;
    const { placement = options.placement, timeline, ...plain } = request;
    const asked = { ...plain, ...timeline?.asks };
    this.#timeline = timeline;
    this.#seeker = {
      id,
      signal,
      placement,
      waits: whenFull === 'wait',
      spec: () => ({ ...asked, ...this.#history.rest, ...(this.#background && { background: true }) }),
      nextEpoch: () => ++epoch,
      shunned: this.#shunned,
      recovering: false,
      refused: (by, { code }) => timeline?.refused(by, code),
    };
  }

  async *events(): AsyncGenerator<GenerateStreamEvent, void, undefined> {
    this.#took(await this.#opening.open(this.#seeker));
    this.#watch.opened();
    yield this.#open!.opened;
    this.#seeker.recovering = true;
    this.#seeker.waits = true;
    while (!this.#finished) {
      const event = await this.#next().catch((thrown: unknown) => this.#lost(thrown));
      if (event === undefined) continue;
      if (event.type === 'finished') {
        this.#finished = true;
        this.#watch.finished(event);
      }
      yield event;
    }
  }

  /** A worker has come, gone or changed its state: whoever waits for the next event looks again. */
  disturb(): void {
    this.#disturb();
  }

  /** A worker has pulsed: is the next event still worth waiting for? */
  moved(movement: Movement): void {
    this.#stuck ??= this.#wait.moved(movement);
    if (this.#stuck) this.disturb();
  }

  async close(): Promise<void> {
    await this.#open?.close(this.#finished);
    this.#open = undefined;
  }

  #took(open: OpenSequence): void {
    this.#open = open;
    this.#due = undefined;
    this.#decodes = false;
    this.#wait.opened(open.route, this.#stepsMax);
    this.#stuck = undefined;
    this.#options.metrics.recomputed(this.#history.opened(open.opened));
    this.#timeline?.opened(open, this.#history.emitted.length);
  }

  /** The next event that is news; undefined when this one is none. */
  async #next(): Promise<GenerateStreamEvent | undefined> {
    const { metrics, membership } = this.#options;
    const { value: event, done } = await this.#event();
    const { route } = this.#open!;
    if (done) throw new RondoError('WORKER_LOST', `worker ${route.home.id} ended the stream too early`);
    if (event.epoch !== route.epoch) {
      metrics.dropped('stale-epoch');
      return undefined;
    }
    switch (event.type) {
      case 'opened':
        throw faulty('its opening, a second time');
      case 'token': {
        const token = this.#history.token(event);
        if (token === undefined) metrics.dropped('repeated');
        else {
          this.#watch.token(event.passes);
          this.#timeline?.token();
          this.#decodes = true;
          this.#losses = [];
          this.#shunned.clear();
        }
        return token;
      }
      case 'runs':
        this.#timeline?.ran(event, (worker) => membership.behindMs(worker));
        return undefined;
      case 'prompt-logprobs':
        return this.#history.promptTokens(event);
      case 'finished': {
        const end = this.#history.finished(event);
        membership.behaved(route.home.id);
        return end;
      }
    }
  }

  /** What its worker says next; while that drains, each try to leave it comes before what it has not said yet. */
  async #event(): Promise<IteratorResult<GenerateStreamEvent>> {
    const { membership, clock } = this.#options;
    this.#wait.begin(this.#stepsMax);
    for (;;) {
      if (this.#stuck) throw stuckError(this.#stuck);
      const drains = membership.drains(this.#open!.route);
      const inMs = this.#moveAt - clock.now();
      if (drains && inMs <= 0) await this.#move();
      else {
        this.#due ??= this.#open!.events.next();
        const event = await this.#unlessDisturbed(this.#due, drains ? inMs : undefined);
        if (event !== undefined) {
          this.#due = undefined;
          this.#wait.end();
          this.#stuck = undefined;
          return event;
        }
      }
    }
  }

  /** The event, or undefined as soon as it is disturbed or `ms` are over. */
  async #unlessDisturbed<T>(event: Promise<T>, ms: number | undefined): Promise<T | undefined> {
    const disturbed = Promise.withResolvers<undefined>();
    this.#disturb = () => disturbed.resolve(undefined);
    const timer = ms === undefined ? undefined : setTimeout(this.#disturb, ms);
    try {
      return await Promise.race([event, disturbed.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Its worker is lost: ends the sequence when all of it is there already, else opens it on another. */
  async #lost(thrown: unknown): Promise<GenerateStreamEvent | undefined> {
    const { metrics, membership } = this.#options;
    const error = RondoError.from(thrown);
    const { route } = this.#open!;
    const worker = this.#stuck?.worker ?? route.home.id;
    this.#wait.end();
    if (this.#seeker.signal.aborted) throw error;
    // It ends with the call.
    this.#due?.catch(() => undefined);
    await this.close();
    blame(this.#options, error, route, worker);
    const end = this.#history.end(route.epoch);
    if (end !== undefined) return end;
    this.#losses.push({ worker, error });
    // Which of them it was is seldom known; whoever is well pulses again soon.
    for (const stage of route.stages) membership.suspect(stage.worker.id);
    this.#shunned.add(worker);
    if (!goesOn(this.#losses, (worker) => membership.lives(worker))) throw givenUp(this.#losses);
    const cause = causeOf(error);
    metrics.recovered(cause);
    this.#timeline?.leaves('recovery', {
      'rondo.cause': cause,
      'rondo.worker': worker,
      'rondo.code': error.code,
    });
    this.#took(await this.#opening.open(this.#seeker));
    return undefined;
  }

  /** Runs on its home that may go before its next event: each of its chunks after those of all others, static batches after a cohort. */
  get #stepsMax(): number {
    const { context, maxDepth } = this.#options;
    const cut = this.#background ? LIMITS.prefillChunkRows / LIMITS.backgroundChunkRows : 1;
    const chunks = this.#decodes ? 1 : this.#history.chunksDue * cut;
    return (LIMITS.sequencesMax * chunks + context) * (maxDepth + RUNS_OUTSIDE);
  }

  /** Opens the sequence elsewhere and leaves the draining worker; when nobody takes it, it stays. */
  async #move(): Promise<void> {
    const { metrics, clock } = this.#options;
    const old = this.#open!;
    // It ends with the call.
    this.#due?.catch(() => undefined);
    this.#timeline?.leaves('drain', { 'rondo.worker': old.route.home.id });
    const outcome = await this.#opening.tryAll(this.#seeker);
    if (outcome instanceof RondoError) {
      this.#moveAt = clock.now() + MOVE_AGAIN_MS;
      return;
    }
    metrics.recovered('drain');
    this.#took(outcome);
    await old.close(false);
  }
}

const stuckError = ({ worker, why }: Stuck): RondoError =>
  new RondoError('WORKER_STUCK', `worker ${worker} pulses, but ${why}`);

/** A request that kills workers must not kill them all. */
function givenUp(losses: readonly Loss[]): RondoError {
  const { error } = losses.at(-1)!;
  if (losses.length === 1) return error;
  const code = causeOf(error) === 'lost' ? 'WORKER_LOST' : error.code;
  const message = `${losses.length} times in a row a worker failed this sequence before its next token: ${error.message}`;
  return new RondoError(code, message, { cause: error });
}
