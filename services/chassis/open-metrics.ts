/** An observation that a bucket points to: the trace in which it was made. */
export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** The newest of each bucket: by the metric's name, then by what `bucketKey` makes of the bucket's labels. */
export type Exemplars = ReadonlyMap<string, ReadonlyMap<string, Exemplar>>;

export const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** The same for the same labels, whatever their order. */
export const bucketKey = (labels: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

/**
 * Prometheus' text format as OpenMetrics, with exemplars behind the buckets: counters are described without their `_total`, no line is empty,
 * and the end is marked. (OpenMetrics 1.0, §4)
 */
export function openMetrics(text: string, exemplars: Exemplars): string {
  const lines = text.split('\n').filter((line) => line !== '');
  const counters = new Set(lines.flatMap((line) => /^# TYPE (\S+)_total counter$/.exec(line)?.[1] ?? []));
  const written = lines.map((line) => {
    const described = /^# (HELP|TYPE) (\S+)_total (.*)$/.exec(line);
    if (described && counters.has(described[2]!)) return `# ${described[1]} ${described[2]} ${described[3]}`;
    const bucket = /^(\w+)_bucket\{(.*)\} \S+$/.exec(line);
    const exemplar = bucket && exemplars.get(bucket[1]!)?.get(bucketKey(labelsOf(bucket[2]!)));
    return exemplar ? `${line} ${exemplarText(exemplar)}` : line;
  });
  return `${written.join('\n')}\n# EOF\n`;
}

const labelsOf = (written: string): Record<string, string> =>
  Object.fromEntries(
    [...written.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name!, value!]),
  );

const exemplarText = ({ traceId, value, atMs }: Exemplar): string =>
  `# {trace_id="${traceId}"} ${value} ${(atMs / 1000).toFixed(3)}`;
