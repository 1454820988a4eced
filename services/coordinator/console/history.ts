import type { LiveFrame } from '../live-frame.ts';
import type { LiveRates } from '../live-rates.ts';

/** What the plots keep of one frame. */
export interface Sample {
  /** Seconds since 1970. */
  readonly at: number;
  readonly tokens: number;
  readonly firstTokenMs: number | null;
  readonly betweenTokensMs: number | null;
  readonly workers: ReadonlyMap<string, { readonly kvShare: number; readonly rowsPerStep: number }>;
}

/** Five minutes of frames. */
const SAMPLES_MAX = 600;
/** Curves in one plot. With more workers than that it shows the mean and the most of them. */
const CURVES_MAX = 6;

export const sampleOf = (at: number, frame: LiveFrame, rates: LiveRates): Sample => ({
  at,
  tokens: rates.tokens,
  firstTokenMs: frame.firstTokenMs,
  betweenTokensMs: frame.betweenTokensMs,
  workers: new Map(
    rates.workers.map(({ worker, rowsPerStep }) => [worker.id, { kvShare: worker.kvShare, rowsPerStep }]),
  ),
});

/** `samples` and one more; the oldest go. */
export const withSample = (samples: readonly Sample[], sample: Sample): readonly Sample[] => [
  ...samples.slice(-(SAMPLES_MAX - 1)),
  sample,
];

export interface Curve {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

/** One curve for each worker, or their mean and the most. */
export function workerCurves(samples: readonly Sample[], value: 'kvShare' | 'rowsPerStep'): readonly Curve[] {
  const ids = [...new Set(samples.flatMap(({ workers }) => [...workers.keys()]))].sort();
  if (ids.length <= CURVES_MAX) {
    return ids.map((name) => ({
      name,
      values: samples.map(({ workers }) => workers.get(name)?.[value] ?? null),
    }));
  }
  const of = (each: (values: readonly number[]) => number) =>
    samples.map(({ workers }) => {
      const values = [...workers.values()].map((worker) => worker[value]);
      return values.length > 0 ? each(values) : null;
    });
  return [
    { name: 'mean', values: of((values) => values.reduce((sum, one) => sum + one, 0) / values.length) },
    { name: 'most', values: of((values) => Math.max(...values)) },
  ];
}
