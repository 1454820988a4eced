import { createHash, randomBytes } from 'node:crypto';

/** A place in a trace, as W3C Trace Context names it. */
export interface TraceContext {
  /** 32 and 16 hexadecimal digits, not all 0. */
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** What a `traceparent` header says; undefined when it is absent or malformed, for then a trace begins anew. (W3C Trace Context, §3.2) */
export function parseTraceparent(header: unknown): TraceContext | undefined {
  const match = typeof header === 'string' ? TRACEPARENT.exec(header) : null;
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = match as unknown as [string, ...string[]];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return undefined;
  return { traceId: traceId!, spanId: spanId!, sampled: (Number.parseInt(flags!, 16) & 1) === 1 };
}

export const traceparentOf = ({ traceId, spanId, sampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;

export const newTraceId = (): string => randomBytes(16).toString('hex');

export const newSpanId = (): string => randomBytes(8).toString('hex');

/** The span that `parts` name, the same for everybody who names it: two processes link to each other's spans without a word. */
export const derivedSpanId = (...parts: readonly (string | number)[]): string => digest(parts).slice(0, 16);

/** A root span that `parts` name. */
export function derivedRoot(...parts: readonly (string | number)[]): Omit<TraceContext, 'sampled'> {
  const bytes = digest(parts);
  return { traceId: bytes.slice(0, 32), spanId: bytes.slice(32, 48) };
}

const digest = (parts: readonly (string | number)[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');
