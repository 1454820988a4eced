import { randomUUID } from 'node:crypto';
import { ROOT_CONTEXT, SpanKind, TraceFlags, trace } from '@opentelemetry/api';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  ParentBasedSampler,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import { type FinishedSpan, readableSpan } from './finished-span.ts';
import type { Metrics } from './metrics.ts';
import { ATTRIBUTES } from './semantic-conventions.ts';
import { SpanOutbox } from './span-outbox.ts';
import { newSpanId, newTraceId, parseTraceparent, type TraceContext } from './trace-context.ts';

export interface TelemetryOptions {
  /** Absent: spans go nowhere, though contexts are still taken over from clients. */
  readonly exporter?: SpanExporter | undefined;
  /** Share of the requests without a sampled parent that are traced, 0 to 1. */
  readonly sample: number;
  /** A request that took longer is exported whatever was sampled, in milliseconds; absent: none. */
  readonly slowerThanMs?: number | undefined;
  readonly serviceName: string;
  /** More attributes of the resource. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** What a request that begins is to its trace. */
export interface RootContext extends TraceContext {
  /** The client's span. */
  readonly parentSpanId?: string | undefined;
}

/** Decides which requests are traced and takes their spans out. */
export class Telemetry {
  readonly slowerThanMs: number | undefined;
  readonly #sampler: ParentBasedSampler;
  readonly #resource: Resource;
  readonly #outbox: SpanOutbox | undefined;
  /** Makers of spans that a later turn asks. */
  #later: (() => readonly FinishedSpan[])[] = [];
  #turn: NodeJS.Immediate | undefined;

  constructor(options: TelemetryOptions) {
    const { exporter, sample, slowerThanMs, serviceName, attributes, metrics, log } = options;
    this.slowerThanMs = exporter && slowerThanMs;
    this.#sampler = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(exporter ? sample : 0) });
    this.#outbox = exporter && new SpanOutbox({ exporter, metrics, log });
    this.#resource = resourceFromAttributes({
      [ATTRIBUTES.serviceInstanceId]: randomUUID(),
      ...attributes,
      [ATTRIBUTES.serviceName]: serviceName,
    });
  }

  /** Whether spans go anywhere. */
  get exports(): boolean {
    return this.#outbox !== undefined;
  }

  /** Begins the server span of a request: in the client's trace when it names one, whose sampling it then follows. */
  begin(traceparent: unknown): RootContext {
    const parent = parseTraceparent(traceparent);
    const traceId = parent?.traceId ?? newTraceId();
    const context = parent
      ? trace.setSpanContext(ROOT_CONTEXT, {
          traceId,
          spanId: parent.spanId,
          traceFlags: parent.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
          isRemote: true,
        })
      : ROOT_CONTEXT;
    const { decision } = this.#sampler.shouldSample(context, traceId, '', SpanKind.SERVER, {}, []);
    const sampled = decision === SamplingDecision.RECORD_AND_SAMPLED;
    return { traceId, spanId: newSpanId(), parentSpanId: parent?.spanId, sampled };
  }

  /** Begins a trace of its own that is sampled when `other` is. */
  beginApart({ sampled }: TraceContext): RootContext {
    return { traceId: newTraceId(), spanId: newSpanId(), sampled };
  }

  /** Puts spans in line for the receiver; never waits. */
  export(spans: readonly FinishedSpan[]): void {
    this.#outbox?.put(spans.map((span) => () => readableSpan(span, this.#resource)));
  }

  /** The same in a later turn of the event loop: what is answered in this one goes out before its spans are even made. */
  exportLater(make: () => readonly FinishedSpan[]): void {
    if (!this.exports) return;
    this.#later.push(make);
    this.#turn ??= setImmediate(() => this.#makeLate());
  }

  async close(): Promise<void> {
    this.#makeLate();
    await this.#outbox?.close();
  }

  #makeLate(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    for (const make of this.#later.splice(0)) this.export(make());
  }
}
