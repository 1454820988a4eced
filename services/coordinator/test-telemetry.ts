import { createLog, Metrics, Telemetry, type TelemetryOptions } from '@rondo/chassis';

type Spans = Parameters<NonNullable<TelemetryOptions['exporter']>['export']>[0];

/** A telemetry whose spans stay in this process. */
export function keepingTelemetry(options: Pick<TelemetryOptions, 'sample' | 'slowerThanMs'>) {
  const kept: Spans = [];
  const telemetry = new Telemetry({
    ...options,
    exporter: {
      export(spans, done) {
        kept.push(...spans);
        done({ code: 0 });
      },
      shutdown: async () => {},
    },
    serviceName: 'test',
    metrics: new Metrics(),
    log: createLog('test', { level: 'silent' }),
  });
  /** All that were exported so far. */
  const spans = async (): Promise<Spans> => {
    await telemetry.close();
    return kept;
  };
  return { telemetry, spans };
}
