import { type Logger, parseTraceparent, type RootContext, type Telemetry } from '@rondo/chassis';
import { type Clock, ERRORS } from '@rondo/core';
import type { BatchRecord } from './batch-record.ts';
import { requestLine } from './request-line.ts';
import { requestSpans } from './request-spans.ts';
import { type Background, type RequestFacts, RequestTimeline } from './request-timeline.ts';

/** What is known of an answer when it begins, beside what its trace is. */
export type BackgroundFacts = Omit<RequestFacts, 'context' | 'detailed' | 'background'>;

export interface BackgroundRequestsOptions {
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * Answers that no client waits for: lines of batches and shadows. Each leaves a line in the log at its end and, when sampled, a trace of its
 * own, linked to what it comes from and as large as a request's at most. None is exported for its slowness alone: these give way to others.
 */
export class BackgroundRequests {
  readonly #options: BackgroundRequestsOptions;

  constructor(options: BackgroundRequestsOptions) {
    this.#options = options;
  }

  /** A line is sampled as a request is whose client does not say. */
  line(batch: BatchRecord, customId: string, facts: BackgroundFacts): RequestTimeline {
    const created = parseTraceparent(batch.traceparent);
    return this.#begin(this.#options.telemetry.begin(undefined), facts, {
      name: 'batch_line',
      links: created ? [created] : [],
      attributes: { 'rondo.batch_id': batch.id, 'rondo.custom_id': customId },
      ids: { batch: batch.id, customId },
      cancelledFor: () => 'coordinator-stops',
    });
  }

  /**
   * A shadow is sampled with the request that it repeats, so that there is something to compare it with.
   * @param cancelledFor see `Background`
   */
  shadow(of: RequestFacts, facts: BackgroundFacts, cancelledFor: () => string): RequestTimeline {
    return this.#begin(this.#options.telemetry.beginApart(of.context), facts, {
      name: 'shadow',
      links: [of.context],
      attributes: { 'rondo.shadow_of': of.id },
      ids: { shadowOf: of.id },
      cancelledFor,
    });
  }

  #begin(context: RootContext, facts: BackgroundFacts, background: Background): RequestTimeline {
    const { telemetry, log, clock } = this.#options;
    const traced = context.sampled && telemetry.exports;
    return new RequestTimeline({ ...facts, context, detailed: traced, background }, clock, (ended) => {
      if (isToBeTriedAgain(ended)) return;
      if (traced) telemetry.exportLater(() => requestSpans(ended));
      log.info({ ...requestLine(ended), ...background.ids }, background.name);
    });
  }
}

/** A line that finds no room is tried again and again: only a try that a worker took, or one that is final, tells anything. */
const isToBeTriedAgain = ({ sequences, error }: RequestTimeline): boolean =>
  error !== undefined &&
  (error === 'CANCELLED' || ERRORS[error].retryable) &&
  !sequences.some(({ stays }) => stays.length > 0);
