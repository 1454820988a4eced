import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

const PROGRAM = new URL('./receiver-process.ts', import.meta.url).pathname;
const LOOK_MS = 50;

/** A span as it arrived; ids in hexadecimal, times in milliseconds since 1970. */
export interface ReceivedSpan {
  readonly way: 'http' | 'grpc';
  readonly service: string;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly {
    readonly name: string;
    readonly attributes: Readonly<Record<string, unknown>>;
  }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly error: boolean;
}

/** A receiver of traces that runs as a process of its own. */
export class OtlpReceiver implements AsyncDisposable {
  readonly httpUrl: string;
  readonly grpcUrl: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: { httpPort: number; grpcPort: number }) {
    this.#child = child;
    this.httpUrl = `http://127.0.0.1:${ports.httpPort}`;
    this.grpcUrl = `http://127.0.0.1:${ports.grpcPort}`;
  }

  static async start(): Promise<OtlpReceiver> {
    const child = fork(PROGRAM);
    const [ports] = await once(child, 'message');
    return new OtlpReceiver(child, ports as { httpPort: number; grpcPort: number });
  }

  /** Every span so far. */
  async spans(): Promise<ReceivedSpan[]> {
    this.#child.send('spans');
    const [{ received }] = (await once(this.#child, 'message')) as [{ received: Received[] }];
    return received.flatMap(spansOf);
  }

  /** The spans, once there are some for which `complete` holds; the caller's test has a bound in time. */
  async until(complete: (spans: readonly ReceivedSpan[]) => boolean): Promise<ReceivedSpan[]> {
    for (;;) {
      const spans = await this.spans();
      if (complete(spans)) return spans;
      await delay(LOOK_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }
}

interface Pair {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Bytes {
  readonly data: number[];
}

interface RawSpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: Bytes;
  readonly spanId: Bytes;
  readonly parentSpanId: Bytes;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Pair[];
  readonly events: { readonly name: string; readonly attributes: Pair[] }[];
  readonly links: { readonly traceId: Bytes; readonly spanId: Bytes }[];
  readonly status: { readonly code: string } | null;
}

interface Received {
  readonly way: 'http' | 'grpc';
  readonly request: {
    readonly resourceSpans: {
      readonly resource: { readonly attributes: Pair[] };
      readonly scopeSpans: { readonly spans: RawSpan[] }[];
    }[];
  };
}

const hex = ({ data }: Bytes): string => Buffer.from(data).toString('hex');

const milliseconds = (nanoseconds: string): number => Number(BigInt(nanoseconds) / 1000n) / 1000;

function unwrapped(value: Readonly<Record<string, unknown>>): unknown {
  const { stringValue, boolValue, intValue, doubleValue, arrayValue } = value;
  if (arrayValue !== undefined)
    return (arrayValue as { values: Readonly<Record<string, unknown>>[] }).values.map(unwrapped);
  return stringValue ?? boolValue ?? doubleValue ?? Number(intValue);
}

const record = (pairs: readonly Pair[]) =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, unwrapped(value)]));

const spansOf = ({ way, request }: Received): ReceivedSpan[] =>
  request.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const about = record(resource.attributes);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        way,
        service: String(about['service.name']),
        resource: about,
        name: span.name,
        kind: span.kind,
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
        startMs: milliseconds(span.startTimeUnixNano),
        endMs: milliseconds(span.endTimeUnixNano),
        attributes: record(span.attributes),
        events: span.events.map(({ name, attributes }) => ({ name, attributes: record(attributes) })),
        links: span.links.map((link) => ({ traceId: hex(link.traceId), spanId: hex(link.spanId) })),
        error: span.status?.code === 'STATUS_CODE_ERROR',
      })),
    );
  });
