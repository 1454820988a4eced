import { setTimeout as delay } from 'node:timers/promises';
import {
  type Clock,
  type GenerateSpec,
  type KvPolicy,
  RondoError,
  type Route,
  type SequenceId,
  type WorkerId,
} from '@rondo/core';
import type { GenerateStreamEvent, OpenedEvent } from '@rondo/wire';
import type { Membership } from './membership.ts';
import { type Placement, place } from './placement.ts';
import type { SequenceMetrics } from './sequence-metrics.ts';
import { unlessAborted, WaitingLine } from './waiting-line.ts';

/** What a request asks of one sequence; where it runs is decided here. */
export type SequenceRequest = Omit<GenerateSpec, 'sequenceId' | 'route' | 'bundleDigest'> & {
  /** For this sequence instead of the coordinator's. */
  readonly placement?: Placement | undefined;
};

/** What a sequence does that no worker has room for: wait in line, or give up at once and leave what comes free to others. */
export type WhenFull = 'wait' | 'refuse';

export interface GenerationOptions {
  readonly membership: Membership;
  readonly placement: Placement;
  readonly bundleDigest: string;
  readonly maxDepth: number;
  readonly kvPolicy: KvPolicy;
  readonly layersAtHome: boolean;
  readonly metrics: SequenceMetrics;
  readonly clock: Clock;
}

/** A sequence whose pages are reserved on every worker of its route. */
interface OpenSequence {
  readonly route: Route;
  readonly opened: OpenedEvent;
  readonly events: AsyncIterator<GenerateStreamEvent>;
  /** Ends the worker's call, cancelling it unless it has finished, and gives back what was booked. */
  close(finished: boolean): Promise<void>;
}

/** A cancelled sequence frees its pages within one step; so often and so long (ms) a lonely waiter looks again. */
const LATE_FREES = { tries: 10, everyMs: 100 };

/** Brings sequences from prompt to last token on the workers: places, waits for room, keeps the tokens in order. */
export class Generation {
  readonly #options: GenerationOptions;
  readonly #line = new WaitingLine();

  constructor(options: GenerationOptions) {
    this.#options = options;
  }

  /** Sequences that wait in line for room. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Share of all KV positions that is held, as far as this coordinator knows, 0 to 1; 1 without a worker. */
  get reservedShare(): number {
    const view = this.#options.membership.view();
    const total = view.reduce((sum, { totalPositions }) => sum + totalPositions, 0);
    const held = view.map((worker) =>
      Math.max(worker.reservedPositions, worker.totalPositions - worker.freePositions),
    );
    const reserved = held.reduce((sum, positions) => sum + positions, 0);
    return total === 0 ? 1 : Math.min(1, reserved / total);
  }

  /**
   * The events of one sequence: `opened` first, tokens 0, 1, 2 … exactly once and in order, `finished` last. Anything of another epoch,
   * and tokens seen before, are dropped and counted. Ending the iteration cancels the worker's call.
   * @throws RondoError OVERLOADED or KV_EXHAUSTED when no worker has room and none will come free, NO_WORKER when none
   * answers, WORKER_LOST when the home is lost on the way, CANCELLED when `signal` is raised.
   */
  async *run(
    id: SequenceId,
    request: SequenceRequest,
    signal: AbortSignal,
    whenFull: WhenFull = 'wait',
  ): AsyncGenerator<GenerateStreamEvent, void, undefined> {
    const { metrics, clock } = this.#options;
    const watch = metrics.watch(request.promptIds.length, clock);
    let open: OpenSequence | undefined;
    let finished = false;
    try {
      open = await this.#open(id, request, signal, whenFull);
      watch.opened();
      yield open.opened;
      for await (const event of this.#inOrder(open)) {
        if (event.type === 'token') watch.token();
        if (event.type === 'finished') {
          finished = true;
          watch.finished(event);
        }
        yield event;
      }
    } catch (thrown) {
      if (signal.aborted) throw new RondoError('CANCELLED', 'the request was cancelled', { cause: thrown });
      throw thrown;
    } finally {
      await open?.close(finished);
      watch.end();
    }
  }

  async *#inOrder(open: OpenSequence): AsyncGenerator<GenerateStreamEvent, void, undefined> {
    const { metrics } = this.#options;
    let nextIndex = 0;
    for (;;) {
      const { value: event, done } = await open.events.next();
      if (done)
        throw new RondoError('WORKER_LOST', `worker ${open.route.home.id} ended the stream too early`);
      if (event.epoch !== open.route.epoch) {
        metrics.dropped('stale-epoch');
        continue;
      }
      switch (event.type) {
        case 'opened':
          break;
        case 'token':
          if (event.index < nextIndex) {
            metrics.dropped('repeated');
            break;
          }
          if (event.index > nextIndex) {
            throw new RondoError(
              'WORKER_LOST',
              `worker ${open.route.home.id} sent token ${event.index} where ${nextIndex} was due`,
            );
          }
          nextIndex++;
          yield event;
          break;
        case 'prompt-logprobs':
          yield event;
          break;
        case 'finished':
          yield event;
          return;
      }
    }
  }

  /** Tries all workers; when none has room, waits in line for a sequence to end and tries again. */
  async #open(
    id: SequenceId,
    request: SequenceRequest,
    signal: AbortSignal,
    whenFull: WhenFull,
  ): Promise<OpenSequence> {
    const { membership } = this.#options;
    let epoch = 0;
    const attempt = () => this.#openAnywhere(id, request, signal, () => ++epoch);
    if (whenFull === 'refuse' && this.#line.length > 0) {
      throw new RondoError('OVERLOADED', `${this.#line.length} sequences wait for room`);
    }
    if (this.#line.length === 0) {
      const ended = membership.ended;
      const outcome = await attempt();
      if (!(outcome instanceof RondoError)) return outcome;
      if (whenFull === 'refuse' || (membership.booked === 0 && membership.ended === ended)) throw outcome;
    }
    return this.#line.takeTurn(signal, async () => {
      for (let lonely = 0; ; ) {
        const outcome = await attempt();
        if (!(outcome instanceof RondoError)) return outcome;
        if (membership.booked > 0) await unlessAborted(membership.nextChange(), signal);
        else if (lonely++ === LATE_FREES.tries) throw outcome;
        else await delay(LATE_FREES.everyMs, undefined, { signal });
      }
    });
  }

  /** One try on each possible home; returns the refusal when all lack room. */
  async #openAnywhere(
    id: SequenceId,
    request: SequenceRequest,
    signal: AbortSignal,
    nextEpoch: () => number,
  ): Promise<OpenSequence | RondoError> {
    const { membership, maxDepth, kvPolicy, layersAtHome } = this.#options;
    const { exit, promptIds, maxTokens, placement = this.#options.placement } = request;
    const asked = { placement, exit, promptRows: promptIds.length, maxTokens };
    const tried = new Set<WorkerId>();
    let noRoom: RondoError | undefined;
    let unreachable: RondoError | undefined;
    for (;;) {
      const view = membership.view().filter(({ worker }) => !tried.has(worker.id));
      const route = place(view, { ...asked, maxDepth, kvPolicy, layersAtHome, epoch: nextEpoch() });
      if (route === undefined) break;
      try {
        return await this.#openOn(route, id, request, signal);
      } catch (thrown) {
        const error = RondoError.from(thrown);
        if (signal.aborted || !error.retryable) throw error;
        if (error.code === 'OVERLOADED' || error.code === 'KV_EXHAUSTED') noRoom = error;
        else unreachable = error;
        tried.add(route.home.id);
      }
    }
    if (noRoom !== undefined) return noRoom;
    throw new RondoError('NO_WORKER', `no worker answers: ${unreachable?.message ?? 'none is known'}`, {
      cause: unreachable,
    });
  }

  async #openOn(
    route: Route,
    id: SequenceId,
    request: SequenceRequest,
    signal: AbortSignal,
  ): Promise<OpenSequence> {
    const { membership, bundleDigest } = this.#options;
    const { placement: _, ...asked } = request;
    const spec: GenerateSpec = { ...asked, sequenceId: id, route, bundleDigest };
    const booking = membership.book(route, request.promptIds.length + request.maxTokens);
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
      events = client.generate(spec, AbortSignal.any([signal, call.signal]))[Symbol.asyncIterator]();
      const first = await events.next();
      if (first.done || first.value.type !== 'opened') {
        throw new RondoError(
          'WORKER_LOST',
          `worker ${route.home.id} sent tokens before it opened the sequence`,
        );
      }
      booking.opened();
      return { route, opened: first.value, events, close };
    } catch (error) {
      await close(false);
      throw error;
    }
  }
}
