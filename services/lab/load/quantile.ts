/**
 * The q-quantile of `values`, 0 ≤ q ≤ 1, linear between neighbours (type 7 of Hyndman and Fan 1996, as NumPy's default).
 * NaN for no values.
 */
export function quantile(values: readonly number[] | Float64Array, q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (at - below) * (high - low);
}

export const median = (values: readonly number[] | Float64Array): number => quantile(values, 0.5);

/**
 * The q-quantile of what histograms with the same buckets have counted together, linear within its bucket as Prometheus has it; the
 * last finite bound for what is above that, NaN when nothing was counted.
 * @param histograms counts at or below each upper bound, +∞ the last
 */
export function histogramQuantile(histograms: readonly ReadonlyMap<number, number>[], q: number): number {
  const bounds = [...new Set(histograms.flatMap((counts) => [...counts.keys()]))].sort((a, b) => a - b);
  const below = bounds.map((bound) => histograms.reduce((sum, counts) => sum + (counts.get(bound) ?? 0), 0));
  const wanted = q * (below.at(-1) ?? 0);
  if (wanted === 0) return Number.NaN;
  const at = below.findIndex((count) => count >= wanted);
  const [low, before] = at === 0 ? [0, 0] : [bounds[at - 1]!, below[at - 1]!];
  if (!Number.isFinite(bounds[at]!)) return low;
  return low + ((bounds[at]! - low) * (wanted - before)) / (below[at]! - before);
}
