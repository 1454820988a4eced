import { SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { SCHEMA_URL } from './semantic-conventions.ts';

export type AttributeValue = string | number | boolean | readonly string[] | readonly number[];

export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** A span that has ended. Times are milliseconds since 1970. */
export interface FinishedSpan {
  readonly name: string;
  readonly kind?: 'server' | 'internal' | undefined;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string | undefined;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events?: readonly {
    readonly name: string;
    readonly atMs: number;
    readonly attributes: Attributes;
  }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[] | undefined;
  /** What went wrong. */
  readonly error?: string | undefined;
}

const SCOPE = { name: 'rondo', schemaUrl: SCHEMA_URL };

const NANOSECONDS = 1e9;

/** Seconds and nanoseconds, as the SDK counts. */
const hrTime = (ms: number): [number, number] => {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.min(NANOSECONDS - 1, Math.round((ms - seconds * 1000) * 1e6))];
};

const context = (traceId: string, spanId: string) => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });

/** The same as the SDK's exporters take it. */
export function readableSpan(span: FinishedSpan, resource: Resource): ReadableSpan {
  const { name, kind = 'internal', traceId, spanId, parentSpanId, error } = span;
  const endMs = Math.max(span.startMs, span.endMs);
  return {
    name,
    kind: kind === 'server' ? SpanKind.SERVER : SpanKind.INTERNAL,
    spanContext: () => context(traceId, spanId),
    ...(parentSpanId !== undefined && { parentSpanContext: context(traceId, parentSpanId) }),
    startTime: hrTime(span.startMs),
    endTime: hrTime(endMs),
    duration: hrTime(endMs - span.startMs),
    status:
      error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
    attributes: present(span.attributes),
    links: (span.links ?? []).map((link) => ({ context: context(link.traceId, link.spanId) })),
    events: (span.events ?? []).map(({ name, atMs, attributes }) => ({
      name,
      time: hrTime(atMs),
      attributes: present(attributes),
    })),
    ended: true,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

type PresentAttributes = Record<string, string | number | boolean | string[] | number[]>;

const present = (attributes: Attributes): PresentAttributes =>
  Object.fromEntries(
    Object.entries(attributes).filter(([, value]) => value !== undefined),
  ) as PresentAttributes;
