import { setTimeout as delay } from 'node:timers/promises';
import {
  type Clock,
  type ErrorCode,
  type GenerateSpec,
  type KvPolicy,
  LIMITS,
  mayExitEarly,
  RondoError,
  type Route,
  type SequenceId,
  type WorkerId,
} from '@rondo/core';
import type { GenerateStreamEvent, OpenedEvent } from '@rondo/wire';
import { AnswerTerms, faulty, type ModelTerms } from './answer-terms.ts';
import { contradicts } from './loss.ts';
import type { Membership } from './membership.ts';
import { type Demand, everFits, fitsWhole, type Placement, place } from './placement.ts';
import type { SequenceMetrics } from './sequence-metrics.ts';
import { unlessAborted, WaitingLine } from './waiting-line.ts';

/** A sequence that looks for workers; `spec` is asked anew for every try. */
export interface Seeker {
  readonly id: SequenceId;
  readonly signal: AbortSignal;
  readonly placement: Placement;
  spec(): Omit<GenerateSpec, 'sequenceId' | 'route' | 'bundleDigest'>;
  /** A number above all before it. */
  nextEpoch(): number;
  /** Workers to be tried only when no other takes it. */
  readonly shunned: ReadonlySet<WorkerId>;
  /** Whether it waits in line when no worker has room; else it is refused. */
  readonly waits: boolean;
  /** It has run before: it waits before all that have not, and is not refused for want of room. */
  readonly recovering: boolean;
  /** Workers failed it that live: over stages nobody knows whose fault that was, so that it goes whole to one that has room. */
  readonly wary: boolean;
  /** A worker did not take it. */
  refused?(by: WorkerId, error: RondoError): void;
}

/** A sequence whose pages are reserved on every worker of its route. */
export interface OpenSequence {
  readonly route: Route;
  readonly opened: OpenedEvent;
  /** How long its workers took to open it. */
  readonly openMs: number;
  readonly events: AsyncIterator<GenerateStreamEvent>;
  /** Ends the worker's call, cancelling it unless it has finished, and gives back what was booked. */
  close(finished: boolean): Promise<void>;
}

export interface OpeningOptions extends ModelTerms {
  readonly membership: Membership;
  readonly placement: Placement;
  readonly bundleDigest: string;
  /** Positions of a page of K and V. */
  readonly pagePositions: number;
  readonly kvPolicy: KvPolicy;
  readonly layersAtHome: boolean;
  readonly clock: Clock;
  readonly metrics: SequenceMetrics;
  /** How long a sequence waits for a worker to come, in milliseconds. */
  readonly workerWaitMs?: number | undefined;
  /** How long a recovering sequence waits for room that only others hold, in milliseconds. */
  readonly roomWaitMs?: number | undefined;
  /** How long one worker may take to open a sequence or refuse it, in milliseconds. */
  readonly openMs?: number | undefined;
}

/**
 * Pages of a cancelled sequence come free up to one step later, and those of other coordinators' sequences unannounced: the front of the line
 * looks again every `everyMs`, and after `tries` looks it gives up if nothing of this coordinator's is booked that could end.
 */
const LATE_FREES = { tries: 10, everyMs: 100 };

/** Refusals that every worker would repeat. */
const FINAL: ReadonlySet<ErrorCode> = new Set([
  'INVALID_REQUEST',
  'CONTEXT_LENGTH_EXCEEDED',
  'BODY_TOO_LARGE',
  'BUNDLE_MISMATCH',
]);

/** A sequence on `route` failed by `error` where `worker` ran it: that is given nothing new, and for longer when its home lied. */
export function blame(
  { membership, metrics }: Pick<OpeningOptions, 'membership' | 'metrics'>,
  error: RondoError,
  route: Route,
  worker: WorkerId,
): void {
  if (error.code === 'WORKER_FAULTY') metrics.contradicted();
  if (contradicts(error, route)) membership.contradicted(route.home.id);
  membership.suspect(worker, error);
}

/** Finds workers for sequences: tries all, and waits in line for room or for a worker to come. */
export class Opening {
  readonly #options: OpeningOptions;
  readonly #line = new WaitingLine();
  /** When a worker last answered, be it with a refusal. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** Why the last worker that was asked did not answer; undefined once one did. */
  #unreachable: RondoError | undefined;
  /** When a sequence in front of the line last waited for others of this coordinator to end. */
  #heldAt = Number.NEGATIVE_INFINITY;

  constructor(options: OpeningOptions) {
    this.#options = options;
  }

  /** Sequences that wait in line. */
  get waiting(): number {
    return this.#line.length;
  }

  /**
   * Opens the sequence on some worker as soon as one has room.
   * @throws RondoError OVERLOADED or KV_EXHAUSTED when no worker has room and none will come free, or could never hold it; for a recovering sequence
   * not within `roomWaitMs`; NO_WORKER when none has answered for `workerWaitMs`, CANCELLED when its signal is raised.
   */
  async open(seeker: Seeker): Promise<OpenSequence> {
    const { membership, clock } = this.#options;
    const began = clock.now();
    if (!seeker.waits && this.#line.length > 0) {
      throw new RondoError('OVERLOADED', `${this.#line.length} sequences wait for room`);
    }
    if (this.#line.length === 0) {
      const ended = membership.ended;
      const outcome = await this.tryAll(seeker);
      if (!(outcome instanceof RondoError)) return outcome;
      if (!seeker.waits) throw outcome;
      const alone = membership.booked === 0 && membership.ended === ended;
      const hopeless = alone || !this.#everFits(seeker);
      if (hopeless && outcome.code !== 'NO_WORKER' && !seeker.recovering) throw outcome;
    }
    return this.#line.takeTurn(seeker.signal, () => this.#waitAtFront(seeker, began), seeker.recovering);
  }

  /** One try on each possible home; returns the refusal when all lack room or none answers. */
  async tryAll(seeker: Seeker): Promise<OpenSequence | RondoError> {
    const { membership } = this.#options;
    const tried = new Set<WorkerId>();
    let noRoom: RondoError | undefined;
    const avoided = seeker.shunned.union(membership.shunned);
    for (const shunned of avoided.size > 0 ? [avoided, NOBODY] : [NOBODY]) {
      for (;;) {
        const view = membership.view().filter(({ worker: { id } }) => !tried.has(id) && !shunned.has(id));
        const route = place(view, { ...this.#demand(seeker), epoch: seeker.nextEpoch() });
        if (route === undefined) break;
        try {
          const open = await this.#openOn(route, seeker);
          this.#answered();
          return open;
        } catch (thrown) {
          const error = RondoError.from(thrown);
          seeker.refused?.(route.home.id, error);
          if (seeker.signal.aborted || FINAL.has(error.code)) throw error;
          if (error.code === 'OVERLOADED' || error.code === 'KV_EXHAUSTED') noRoom = error;
          else {
            this.#unreachable = error;
            blame(this.#options, error, route, route.home.id);
          }
          tried.add(route.home.id);
        }
      }
    }
    if (noRoom === undefined) {
      const why = this.#unreachable?.message ?? 'none is there';
      return new RondoError('NO_WORKER', `no worker answers: ${why}`, { cause: this.#unreachable });
    }
    this.#answered();
    return noRoom;
  }

  #answered(): void {
    this.#answeredAt = this.#options.clock.now();
    this.#unreachable = undefined;
  }

  /** In front of the line: tries again at every change, until nothing can be hoped for any more. */
  async #waitAtFront(seeker: Seeker, began: number): Promise<OpenSequence> {
    const { membership, clock, workerWaitMs = LIMITS.workerWaitMs } = this.#options;
    const { roomWaitMs = LIMITS.roomWaitMs } = this.#options;
    const { signal } = seeker;
    for (let lonely = 0; ; ) {
      const { news } = membership;
      const outcome = await this.tryAll(seeker);
      if (!(outcome instanceof RondoError)) return outcome;
      // Its own tries end bookings, too: that is no change to try again for.
      const change = membership.news === news ? membership.nextChange() : Promise.resolve();
      if (outcome.code === 'NO_WORKER') {
        // Those behind have waited as long: they are told at once, too.
        const leftMs = workerWaitMs - (clock.now() - Math.max(began, this.#answeredAt));
        if (leftMs <= 0) throw outcome;
        await eitherWay(change, leftMs, signal);
      } else if (!seeker.recovering && !this.#everFits(seeker)) {
        // It would hold up all behind it, who have room.
        throw outcome;
      } else if (membership.booked > 0) {
        await eitherWay(change, LATE_FREES.everyMs, signal);
        this.#heldAt = clock.now();
      } else if (seeker.recovering) {
        // Others hold what it needs, and nobody says when they let go of it.
        const leftMs = roomWaitMs - (clock.now() - Math.max(began, this.#heldAt));
        if (leftMs <= 0 || !this.#everFits(seeker)) throw outcome;
        await eitherWay(change, Math.min(leftMs, LATE_FREES.everyMs), signal);
      } else if (lonely++ === LATE_FREES.tries) throw outcome;
      else await eitherWay(change, LATE_FREES.everyMs, signal);
    }
  }

  #demand(seeker: Seeker): Omit<Demand, 'epoch'> {
    const { maxDepth, pagePositions, kvPolicy, layersAtHome } = this.#options;
    const { exit, emitted, promptIds, maxTokens } = seeker.spec();
    // Only a home knows after how many passes the emitted tokens' rows left.
    const replays = emitted.length > 0 && mayExitEarly(exit, maxDepth);
    const model = { maxDepth, pagePositions, kvPolicy, layersAtHome };
    const demand = { exit, promptRows: promptIds.length, maxTokens, ...model };
    const asked = { ...demand, placement: seeker.placement };
    const whole = replays || (seeker.wary && fitsWhole(this.#options.membership.view(), asked));
    return whole ? { ...demand, placement: 'homed' } : asked;
  }

  #everFits(seeker: Seeker): boolean {
    return everFits(this.#options.membership.view(), this.#demand(seeker));
  }

  async #openOn(route: Route, seeker: Seeker): Promise<OpenSequence> {
    const { membership, bundleDigest, clock, openMs = LIMITS.openMs } = this.#options;
    const askedMs = clock.now();
    const spec: GenerateSpec = { ...seeker.spec(), sequenceId: seeker.id, route, bundleDigest };
    const booking = membership.book(route, spec.promptIds.length + spec.maxTokens);
    const call = new AbortController();
    let events: AsyncIterator<GenerateStreamEvent> | undefined;
    const close = async (finished: boolean) => {
      if (!finished) call.abort();
      // How a cancelled call ends no longer matters, only that it has.
      await events?.return?.().catch(() => undefined);
      booking.end();
    };
    try {
      const { client } = membership.worker(route.home.id);
      const signal = AbortSignal.any([seeker.signal, call.signal]);
      events = client.generate(spec, signal)[Symbol.asyncIterator]();
      const first = await within(events.next(), openMs, route);
      if (first.done || first.value.type !== 'opened') {
        throw faulty(`${first.value?.type ?? 'the end'} before it opened the sequence`);
      }
      if (first.value.epoch !== route.epoch) throw faulty(`epoch ${first.value.epoch} for ${route.epoch}`);
      new AnswerTerms(spec, this.#options).opened(first.value);
      booking.opened();
      return { route, opened: first.value, openMs: clock.now() - askedMs, events, close };
    } catch (error) {
      await close(false);
      throw error;
    }
  }
}

const NOBODY: ReadonlySet<WorkerId> = new Set();

/** What a worker answers. @throws RondoError WORKER_LOST when it has not within `ms`. */
async function within<T>(answer: Promise<T>, ms: number, { home }: Route): Promise<T> {
  const late = Promise.withResolvers<never>();
  const silent = () =>
    late.reject(
      new RondoError('WORKER_LOST', `worker ${home.id} has not opened the sequence for ${ms / 1000} s`),
    );
  const timer = setTimeout(silent, ms);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for `change`, but no longer than `ms`. @throws RondoError CANCELLED when `signal` is raised. */
async function eitherWay(change: Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    await unlessAborted(Promise.race([change, late]), signal);
  } finally {
    timer.abort();
  }
}
