import { summarize, type Window } from '../load/load-summary.ts';
import { median } from '../load/quantile.ts';
import { type RequestRecord, timeToFirstToken } from '../load/request-record.ts';

/** How fast tokens came inside a window of time. */
export interface WindowSpeed {
  /** Of all requests. */
  readonly tokens: number;
  readonly tokensPerS: number;
  /** Sending to first token, in milliseconds: the median of the first tokens that came. NaN for none. */
  readonly firstTokenMs: number;
}

/**
 * What `records` say of `window`. A request need not end in it: an answer of a slow model is longer than a window, and its first
 * token is as good as any.
 */
export function windowSpeed(records: readonly RequestRecord[], window: Window): WindowSpeed {
  const { tokens, tokensPerS } = summarize(records, window);
  const begun = records.filter(
    ({ tokenMs: [first = Number.NaN] }) => first >= window.fromMs && first < window.toMs,
  );
  return { tokens, tokensPerS, firstTokenMs: median(begun.map(timeToFirstToken)) };
}
