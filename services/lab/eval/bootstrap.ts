import { quantile } from '../load/quantile.ts';
import { RandomStream } from '../load/random-stream.ts';

/** A figure with the interval that it lies in, as far as the units that were looked at can tell: of one unit from −∞ to ∞. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  readonly samples: number;
  /** Share of repetitions whose interval holds the true value, such as 0.95. */
  readonly confidence: number;
  readonly seed: number;
}

/**
 * Percentile bootstrap (Efron 1979): `statistic` of all `units` (windows, questions, prompts), and of `samples` draws of as
 * many with replacement. It is told how often each unit was drawn. A difference of two models is paired when the
 * statistic takes both from the same draw. Equal seeds give equal draws, whatever the statistic. Every draw of fewer than two units
 * is the same, which says nothing of how they vary.
 */
export function bootstrap(
  units: number,
  statistic: (drawn: Uint32Array) => number,
  { samples, confidence, seed }: BootstrapOptions,
): Estimate {
  const value = statistic(new Uint32Array(units).fill(1));
  if (units < 2) return { value, low: -Infinity, high: Infinity };
  const random = new RandomStream(seed);
  const drawn = new Uint32Array(units);
  const found = Float64Array.from({ length: samples }, () => {
    drawn.fill(0);
    for (let draw = 0; draw < units; draw++) drawn[random.whole(0, units - 1)]!++;
    return statistic(drawn);
  });
  const tail = (1 - confidence) / 2;
  return { value, low: quantile(found, tail), high: quantile(found, 1 - tail) };
}
