import { parseTraceparent, type RootContext, type Telemetry } from '@rondo/chassis';
import type { Clock } from '@rondo/core';
import type { BatchRecord } from './batch-record.ts';
import { requestSpans } from './request-spans.ts';
import { type Background, type RequestFacts, RequestTimeline } from './request-timeline.ts';

/** What is known of an answer when it begins, beside what its trace is. */
export type BackgroundFacts = Omit<RequestFacts, 'context' | 'detailed' | 'background'>;

/**
 * Traces of answers that no client waits for: lines of batches and shadows. Each is a trace of its own, linked to what it comes from and
 * as large as a request's at most. None is exported for its slowness alone: these give way to others.
 */
export class BackgroundTraces {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;

  constructor(telemetry: Telemetry, clock: Clock) {
    this.#telemetry = telemetry;
    this.#clock = clock;
  }

  /** A line is sampled as a request is whose client does not say; undefined when it is not. */
  line(batch: BatchRecord, customId: string, facts: BackgroundFacts): RequestTimeline | undefined {
    const created = parseTraceparent(batch.traceparent);
    return this.#begin(this.#telemetry.begin(undefined), facts, {
      name: 'batch_line',
      links: created ? [created] : [],
      attributes: { 'rondo.batch_id': batch.id, 'rondo.custom_id': customId },
      cancelledFor: 'coordinator-stops',
    });
  }

  /** A shadow is sampled with the request that it repeats, so that there is something to compare it with; undefined when that is not. */
  shadow(of: RequestFacts, facts: BackgroundFacts): RequestTimeline | undefined {
    return this.#begin(this.#telemetry.beginApart(of.context), facts, {
      name: 'shadow',
      links: [of.context],
      attributes: { 'rondo.shadow_of': of.id },
    });
  }

  #begin(context: RootContext, facts: BackgroundFacts, background: Background): RequestTimeline | undefined {
    if (!context.sampled || !this.#telemetry.exports) return undefined;
    return new RequestTimeline({ ...facts, context, detailed: true, background }, this.#clock, (ended) => {
      // A line that finds no room is tried again and again: only a try that a worker took tells anything.
      if (ended.sequences.some(({ stays }) => stays.length > 0)) this.#telemetry.export(requestSpans(ended));
    });
  }
}
