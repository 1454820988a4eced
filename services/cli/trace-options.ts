import {
  choice,
  OTLP_PROTOCOLS,
  type OtlpProtocol,
  openOtlp,
  settings,
  Telemetry,
  text,
  unsetWhenEmpty,
} from '@rondo/chassis';
import { RondoError } from '@rondo/core';
import { type Command, Option } from 'commander';
import { millisecondsOption, refuse, shareOption } from './options.ts';
import type { Chassis } from './serve.ts';

export interface OtlpFlags {
  readonly otlpEndpoint?: string;
  readonly otlpProtocol?: OtlpProtocol;
}

export interface TraceFlags extends OtlpFlags {
  readonly traceSample?: number;
  readonly traceSlowerThan?: number;
}

export const OTLP_HELP = `
Traces go to --otlp-endpoint, where an OpenTelemetry Collector, Jaeger or any other OTLP receiver listens. Without the option
OpenTelemetry's environment counts: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES, and always OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION and _CERTIFICATE.`;

export const TRACE_HELP = `${OTLP_HELP}
A client's traceparent is taken over, and with it whether the request is traced; else --trace-sample or OTEL_TRACES_SAMPLER_ARG.`;

const SAMPLE_DEFAULT = 0.01;

const endpointOption = (option: string) => (value: string) =>
  /^https?:\/\/[^\s/]+(\/\S*)?$/.test(value) && URL.canParse(value)
    ? value
    : refuse(option, value, 'a URL such as http://collector:4317');

/** Where traces go: for every serving process. */
export const addOtlpOptions = (command: Command): Command =>
  command
    .option(
      '--otlp-endpoint <url>',
      'send traces there over OTLP (default: nowhere)',
      endpointOption('--otlp-endpoint'),
    )
    .addOption(
      new Option(
        '--otlp-protocol <name>',
        'how they travel: gRPC, usually to port 4317, or HTTP to 4318 (default: grpc)',
      ).choices(OTLP_PROTOCOLS),
    );

/** Which requests are traced: for whoever meets clients. */
export const addTraceOptions = (command: Command): Command =>
  addOtlpOptions(command)
    .option(
      '--trace-sample <share>',
      `share of the requests that are traced when the client does not say, 0 to 1 (default: ${SAMPLE_DEFAULT})`,
      shareOption('--trace-sample'),
    )
    .option(
      '--trace-slower-than <ms>',
      'trace every request that takes at least so long, too; keeps what all requests do until they end',
      millisecondsOption('--trace-slower-than'),
    );

/**
 * What this process traces and where that goes; stopped with the process.
 * @throws RondoError CONFIG_INVALID for an environment that says something else than OpenTelemetry allows, and for flags of traces that
 * go nowhere
 */
export async function openTelemetry(
  name: string,
  flags: TraceFlags,
  { log, metrics, lifecycle }: Chassis,
): Promise<Telemetry> {
  const found = telemetryVariables(name);
  const endpoint =
    flags.otlpEndpoint ?? (found.endpoint && endpointOption('OTEL_EXPORTER_OTLP_ENDPOINT')(found.endpoint));
  checkTraceFlags(flags, endpoint);
  const telemetry = new Telemetry({
    exporter: endpoint ? await openOtlp(endpoint, flags.otlpProtocol ?? found.protocol) : undefined,
    sample: flags.traceSample ?? shareOption('OTEL_TRACES_SAMPLER_ARG')(found.sample),
    slowerThanMs: flags.traceSlowerThan,
    serviceName: found.serviceName,
    attributes: resourceAttributes(found.attributes),
    metrics,
    log,
  });
  lifecycle.onStop('traces', () => telemetry.close());
  return telemetry;
}

/**
 * A flag is meant for this process, and without a receiver at `endpoint` does nothing; variables are often those of many processes.
 * @throws RondoError CONFIG_INVALID that names the flag
 */
export function checkTraceFlags(
  { traceSample, traceSlowerThan, otlpProtocol }: TraceFlags,
  endpoint: string | undefined,
): void {
  if (endpoint) return;
  const given = {
    '--trace-sample': traceSample,
    '--trace-slower-than': traceSlowerThan,
    '--otlp-protocol': otlpProtocol,
  };
  for (const [flag, value] of Object.entries(given)) {
    if (value === undefined) continue;
    throw new RondoError(
      'CONFIG_INVALID',
      `${flag} ${value}: there are no traces without a receiver; name it by --otlp-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT`,
    );
  }
}

/**
 * What OpenTelemetry's variables say to the service `name`, in `env` or the process's own environment. An empty value is no value.
 * (OpenTelemetry environment variable specification, "Parsing empty value")
 */
export const telemetryVariables = (name: string, env?: Readonly<Record<string, string>>) =>
  settings(
    {
      endpoint: unsetWhenEmpty(text('OTEL_EXPORTER_OTLP_ENDPOINT', '')),
      protocol: unsetWhenEmpty(choice('OTEL_EXPORTER_OTLP_PROTOCOL', OTLP_PROTOCOLS, 'grpc')),
      serviceName: unsetWhenEmpty(text('OTEL_SERVICE_NAME', name)),
      attributes: unsetWhenEmpty(text('OTEL_RESOURCE_ATTRIBUTES', '')),
      sample: unsetWhenEmpty(text('OTEL_TRACES_SAMPLER_ARG', String(SAMPLE_DEFAULT))),
    },
    env,
  );

/** `key=value,key=value`, each percent-encoded. (OpenTelemetry resource SDK, OTEL_RESOURCE_ATTRIBUTES) */
export function resourceAttributes(written: string): Record<string, string> {
  const pairs = written.split(',').filter((pair) => pair.trim() !== '');
  const refused = () => refuse('OTEL_RESOURCE_ATTRIBUTES', written, 'key=value pairs separated by commas');
  return Object.fromEntries(
    pairs.map((pair) => {
      // A value may have equals signs in it.
      const [, key, value] = /^\s*([^=\s]+)\s*=(.*)$/.exec(pair) ?? refused();
      try {
        return [key!, value!.trim()].map(decodeURIComponent);
      } catch {
        return refused();
      }
    }),
  );
}
