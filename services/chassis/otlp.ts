import type { SpanExporter } from '@opentelemetry/sdk-trace';

/** How spans travel to their receiver, in OpenTelemetry's words. */
export const OTLP_PROTOCOLS = ['grpc', 'http/protobuf'] as const;

export type OtlpProtocol = (typeof OTLP_PROTOCOLS)[number];

/**
 * A way to an OTLP receiver at `endpoint`, its base URL. The exporters read the rest of OpenTelemetry's environment themselves:
 * OTEL_EXPORTER_OTLP_HEADERS, …_TIMEOUT, …_COMPRESSION, …_CERTIFICATE.
 */
export async function openOtlp(endpoint: string, protocol: OtlpProtocol): Promise<SpanExporter> {
  // Only what is used is loaded: a process without tracing pays nothing.
  if (protocol === 'grpc') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
    return new OTLPTraceExporter({ url: endpoint });
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
}
