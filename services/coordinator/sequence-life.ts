import { type GenerateSpec, LIMITS, RondoError, type SequenceId, type WorkerId } from '@rondo/core';
import type { GenerateStreamEvent, OpenedEvent } from '@rondo/wire';
import { faulty } from './answer-terms.ts';
import { EventWait } from './event-wait.ts';
import { History } from './history.ts';
import { causeOf, goesOn, type Loss } from './loss.ts';
import { blame, type Opening, type OpeningOptions, type OpenSequence, type Seeker } from './opening.ts';
import type { Placement } from './placement.ts';
import type { SequenceWatch } from './sequence-metrics.ts';
import type { SequenceTimeline } from './sequence-timeline.ts';
import type { Movement, Stuck } from './stuck-policy.ts';

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
    const losses = () => this.#losses;
    this.#seeker = {
      id,
      signal,
      placement,
      waits: whenFull === 'wait',
      spec: () => ({ ...asked, ...this.#history.rest, ...(this.#background && { background: true }) }),
      nextEpoch: () => ++epoch,
      shunned: this.#shunned,
      recovering: false,
      get wary() {
        return losses().some(({ error }) => causeOf(error) !== 'lost');
      },
      refused: (by, { code }) => timeline?.refused(by, code),
    };
  }

  /** Opens it on the workers it begins on. */
  async open(): Promise<OpenedEvent> {
    this.#took(await this.#opening.open(this.#seeker));
    this.#watch.opened();
    this.#seeker.recovering = true;
    this.#seeker.waits = true;
    return this.#open!.opened;
  }

  /** No event comes any more. */
  get finished(): boolean {
    return this.#finished;
  }

  /** The next event that is news, from whatever worker it takes. */
  async next(): Promise<GenerateStreamEvent> {
    for (;;) {
      let news: GenerateStreamEvent | undefined;
      try {
        news = this.#news(await this.#event());
      } catch (thrown) {
        news = await this.#lost(thrown);
      }
      if (news === undefined) continue;
      if (news.type === 'finished') {
        this.#finished = true;
        this.#watch.finished(news);
      }
      return news;
    }
  }

  /** The caller has all it wanted, by a stop string for one: that ends it as well as a stop token, whatever its worker still says. */
  sufficed(): void {
    if (this.#open === undefined) return;
    const { home, epoch } = this.#open.route;
    this.#watch.finished(this.#history.stopped(epoch));
    this.#options.membership.behaved(home.id);
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

  /** What of it is news; undefined when nothing is. */
  #news({ value: event, done }: IteratorResult<GenerateStreamEvent>): GenerateStreamEvent | undefined {
    const { metrics, membership } = this.#options;
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
      const moveInMs = drains ? this.#moveAt - clock.now() : Number.POSITIVE_INFINITY;
      if (moveInMs <= 0) await this.#move();
      else {
        this.#due ??= this.#open!.events.next();
        const event = await this.#unlessDisturbed(this.#due, moveInMs);
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
  #unlessDisturbed<T>(event: Promise<T>, ms: number): Promise<T | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    this.#disturb = () => resolve(undefined);
    // Promise.race would do, with three promises more for each token.
    event.then(resolve, reject);
    if (ms === Number.POSITIVE_INFINITY) return promise;
    const timer = setTimeout(this.#disturb, ms);
    return promise.finally(() => clearTimeout(timer));
  }

  /** Its worker is lost: ends the sequence when all of it is there already, else opens it on another. */
  async #lost(thrown: unknown): Promise<GenerateStreamEvent | undefined> {
    const { metrics, membership } = this.#options;
    const error = RondoError.from(thrown);
    const { route } = this.#open!;
    const worker = this.#stuck?.worker ?? route.home.id;
    this.#wait.end();
    if (this.#seeker.signal.aborted) throw error;
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
