import type { Logger, Metrics, Telemetry } from '@rondo/chassis';
import { type Clock, LIMITS, RondoError } from '@rondo/core';
import { type Owner, owns } from './owner.ts';
import { requestLine } from './request-line.ts';
import { requestSpans } from './request-spans.ts';
import { type RequestFacts, RequestTimeline } from './request-timeline.ts';

/** What a run, a token or an event takes in memory, and a request beside those. */
const KEPT_BYTES = 256;
const REQUEST_BYTES = 4096;

export interface RecentRequestsOptions {
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  /** Whether somebody looks at a console right now. */
  readonly watched: () => boolean;
}

const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800];

/** A request as its client sent it. */
export interface Arrival extends Omit<RequestFacts, 'context' | 'detailed'> {
  /** The header of that name. */
  readonly traceparent: unknown;
  /** By the clock. */
  readonly arrivedMs: number;
}

/**
 * The requests of late, each with its timeline, in bounded memory. A timeline has runs and tokens only when somebody will look: the
 * request is sampled, a console is open, or it is exported should it turn out slow.
 */
export class RecentRequests {
  readonly #options: RecentRequestsOptions;
  /** By owner and id: two clients may call theirs the same. */
  readonly #known = new Map<string, RequestTimeline>();
  readonly #endedTotal;
  readonly #seconds;

  constructor(options: RecentRequestsOptions) {
    this.#options = options;
    this.#endedTotal = options.metrics.counter(
      'rondo_requests_ended_total',
      'Requests to generate by the name asked for, the model that got them and how they ended',
      ['asked', 'model', 'state'],
    );
    this.#seconds = options.metrics.histogram(
      'rondo_request_seconds',
      'Arrival of a request to the end of its answer',
      SECONDS,
      ['model'],
    );
  }

  /** A request has come in; what the client calls it stands for the newest of that name under its key. */
  begin({ traceparent, arrivedMs, ...arrival }: Arrival): RequestTimeline {
    const { telemetry, clock, watched } = this.#options;
    const context = telemetry.begin(traceparent);
    const detailed = context.sampled || watched() || telemetry.slowerThanMs !== undefined;
    const facts = { ...arrival, context, detailed };
    const timeline = new RequestTimeline(facts, clock, (ended) => this.#ended(ended), arrivedMs);
    // Set anew it is the newest.
    const key = JSON.stringify([arrival.owner, arrival.id]);
    this.#known.delete(key);
    this.#known.set(key, timeline);
    this.#makeRoom();
    return timeline;
  }

  /** Those of `owner`, the newest first. */
  list(owner: Owner): RequestTimeline[] {
    return [...this.#known.values()].filter(({ facts }) => owns(owner, facts)).reverse();
  }

  /** @throws RondoError NOT_FOUND for one that is not known, not any more, or is another's. */
  find(id: string, owner: Owner): RequestTimeline {
    const timeline = this.list(owner).find(({ facts }) => facts.id === id);
    if (timeline !== undefined) return timeline;
    throw new RondoError(
      'NOT_FOUND',
      `no request '${id}' is known here; the last ${LIMITS.recentRequests} are kept, by the coordinator that answered them`,
    );
  }

  #ended(timeline: RequestTimeline): void {
    const { telemetry, log } = this.#options;
    const { context, model, asked } = timeline.facts;
    const totalMs = timeline.totalMs!;
    this.#endedTotal.inc({ asked, model, state: timeline.state });
    this.#seconds.observe({ model }, totalMs / 1000, context.sampled ? context.traceId : undefined);
    const { slowerThanMs } = telemetry;
    const slow = slowerThanMs !== undefined && totalMs >= slowerThanMs;
    if (context.sampled || slow) telemetry.exportLater(() => requestSpans(timeline));
    this.#makeRoom();
    log.info(requestLine(timeline), 'request');
  }

  /** Those that run count, too, but are not forgotten. */
  #makeRoom(): void {
    let bytes = 0;
    for (const timeline of this.#known.values()) bytes += bytesOf(timeline);
    for (const [key, timeline] of this.#known) {
      if (this.#known.size <= LIMITS.recentRequests && bytes <= LIMITS.recentRequestsBytes) return;
      if (timeline.totalMs === undefined) continue;
      this.#known.delete(key);
      bytes -= bytesOf(timeline);
    }
  }
}

const bytesOf = ({ kept }: RequestTimeline): number => REQUEST_BYTES + kept * KEPT_BYTES;
