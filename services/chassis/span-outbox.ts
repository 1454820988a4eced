import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { LIMITS } from '@rondo/core';
import type { Logger } from 'pino';
import type { Metrics } from './metrics.ts';

/** Spans of one export: the SDK's own default. */
const BATCH_SPANS = 512;
/** How long a span may wait for others to travel with, in milliseconds. */
const WAIT_MS = 1000;

export interface SpanOutboxOptions {
  readonly exporter: SpanExporter;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/**
 * Spans on their way out, in bounded memory. Whoever puts spans here never waits: what does not fit, and what the receiver does not
 * take, is dropped and counted. One export is under way at a time.
 */
export class SpanOutbox {
  readonly #exporter: SpanExporter;
  readonly #log: Logger;
  readonly #counted;
  #waiting: (() => ReadableSpan)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  /** The last export failed: said once, and once more when it works again. */
  #failing = false;
  /** Whoever waits for the end waits for no receiver that is away. */
  #closing = false;

  constructor({ exporter, metrics, log }: SpanOutboxOptions) {
    this.#exporter = exporter;
    this.#log = log;
    this.#counted = metrics.counter(
      'rondo_trace_spans_total',
      'Spans by what became of them: exported, dropped because too many waited or the process left, or failed to export',
      ['outcome'],
    );
    for (const outcome of ['exported', 'dropped', 'failed']) this.#counted.inc({ outcome }, 0);
  }

  /** Each span is made when its turn comes. */
  put(spans: readonly (() => ReadableSpan)[]): void {
    const room = Math.max(0, LIMITS.traceSpansWaiting - this.#waiting.length);
    this.#waiting.push(...spans.slice(0, room));
    if (spans.length > room) this.#counted.inc({ outcome: 'dropped' }, spans.length - room);
    if (this.#waiting.length >= BATCH_SPANS) this.#wake();
    else this.#timer ??= setTimeout(() => this.#wake(), WAIT_MS).unref();
  }

  /** Sends what waits, as long as the receiver takes it, and ends: with the first export that fails the rest is dropped. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#wake();
    await this.#sending;
    await this.#exporter.shutdown();
  }

  #wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_SPANS).map((span) => span());
      const error = await this.#send(batch);
      this.#counted.inc({ outcome: error ? 'failed' : 'exported' }, batch.length);
      if (error && !this.#failing)
        this.#log.warn({ err: error }, 'traces cannot be exported: they are dropped');
      if (!error && this.#failing) this.#log.info('traces are exported again');
      this.#failing = error !== undefined;
      // A receiver that is dead takes its whole time to say so, for each batch.
      if (error && this.#closing) this.#counted.inc({ outcome: 'dropped' }, this.#waiting.splice(0).length);
    }
  }

  #send(batch: ReadableSpan[]): Promise<Error | undefined> {
    return new Promise((resolve) => {
      // 0: ExportResultCode.SUCCESS.
      this.#exporter.export(batch, ({ code, error }) =>
        resolve(code === 0 ? undefined : (error ?? new Error('the receiver does not take them'))),
      );
    });
  }
}
