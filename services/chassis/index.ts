export { type AdminOptions, AdminServer, type Readiness } from './admin-server.ts';
export { endAtOnce } from './end-at-once.ts';
export type { Attributes, AttributeValue, FinishedSpan } from './finished-span.ts';
export { collectBuffersYoung } from './heap.ts';
export { Lifecycle } from './lifecycle.ts';
export { createLog, type Logger, type LogLevel, type LogOptions, moduleLog } from './log.ts';
export { type Counter, type Gauge, type Histogram, Metrics } from './metrics.ts';
export { OTLP_PROTOCOLS, type OtlpProtocol, openOtlp } from './otlp.ts';
export { ATTRIBUTES } from './semantic-conventions.ts';
export { choice, type Setting, type Settings, settings, text, unsetWhenEmpty } from './settings.ts';
export { type RootContext, Telemetry, type TelemetryOptions } from './telemetry.ts';
export { openTlsFiles, type TlsFileOptions, type TlsFiles, type TlsPaths } from './tls-files.ts';
export {
  derivedRoot,
  derivedSpanId,
  parseTraceparent,
  type TraceContext,
  traceparentOf,
} from './trace-context.ts';
export { WatchedFiles, type WatchOptions } from './watched-files.ts';
export { YoungBuffers } from './young-buffers.ts';
