import { quantile } from './quantile.ts';
import { type RequestRecord, timeToFirstToken, tokenGaps } from './request-record.ts';

/** A stretch of time, in milliseconds of the clock of the records. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** What a load run saw inside a window. Latencies are of requests sent in it, in milliseconds. */
export interface LoadSummary {
  readonly sent: number;
  readonly ended: number;
  readonly refused: number;
  readonly failed: number;
  /** Tokens that arrived in the window, of all requests, and what that is in a second. */
  readonly tokens: number;
  readonly tokensPerS: number;
  /**
   * The same as the slope of a line through arrivals and their count: exact in steady state even where tokens come in
   * bursts and the window cuts through one. NaN for fewer than two tokens.
   */
  readonly steadyTokensPerS: number;
  readonly firstTokenMs: Quantiles;
  /** Between tokens of one request that arrived in the window. */
  readonly gapMs: Quantiles;
  readonly wholeMs: Quantiles;
  /** Passes of a generated token's row, on average over requests that ended in the window; NaN without one. */
  readonly passesPerToken: number;
}

/** Sums up `records` over `window`: what came before or after is warm-up or aftermath. */
export function summarize(records: readonly RequestRecord[], { fromMs, toMs }: Window): LoadSummary {
  const within = (ms: number) => ms >= fromMs && ms < toMs;
  const sent = records.filter(({ sentMs }) => within(sentMs));
  const ended = sent.filter(({ outcome }) => outcome === 'ended');
  const finished = records.filter(({ outcome, endedMs }) => outcome === 'ended' && within(endedMs));
  const arrivals = Float64Array.from(records.flatMap(({ tokenMs }) => tokenMs.filter(within))).sort();
  const tokens = arrivals.length;
  const gaps = records.flatMap((record) =>
    tokenGaps(record).filter((_, index) => within(record.tokenMs[index + 1]!)),
  );
  const generated = finished.reduce((sum, { passes }) => sum + passes.generated, 0);
  // The first token comes from the prompt's last row.
  const generatedRows = finished.reduce((sum, { tokenMs }) => sum + Math.max(0, tokenMs.length - 1), 0);
  return {
    sent: sent.length,
    ended: ended.length,
    refused: sent.filter(({ outcome }) => outcome === 'refused').length,
    failed: sent.filter(({ outcome }) => outcome === 'failed').length,
    tokens,
    tokensPerS: (1000 * tokens) / (toMs - fromMs),
    steadyTokensPerS: 1000 * slopeOfCount(arrivals),
    firstTokenMs: quantiles(ended.map(timeToFirstToken)),
    gapMs: quantiles(gaps),
    wholeMs: quantiles(ended.map(({ sentMs, endedMs }) => endedMs - sentMs)),
    passesPerToken: generated / generatedRows,
  };
}

/** Least-squares slope of 0, 1, 2 … over `times`. */
function slopeOfCount(times: Float64Array): number {
  const meanTime = times.reduce((sum, time) => sum + time, 0) / times.length;
  const meanIndex = (times.length - 1) / 2;
  let [covariance, variance] = [0, 0];
  for (const [index, time] of times.entries()) {
    covariance += (time - meanTime) * (index - meanIndex);
    variance += (time - meanTime) ** 2;
  }
  return covariance / variance;
}

const quantiles = (values: readonly number[]): Quantiles => ({
  p50: quantile(values, 0.5),
  p90: quantile(values, 0.9),
  p99: quantile(values, 0.99),
});
