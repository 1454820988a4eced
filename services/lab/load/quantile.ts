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
