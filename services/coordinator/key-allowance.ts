import type { KeyLimits } from './api-keys.ts';

const MINUTE_MS = 60_000;

export interface KeyView extends KeyLimits {
  /** Requests that may start at once; grows by the key's rate up to a minute's worth. */
  readonly allowance: number;
  /** Requests of the key under way. */
  readonly running: number;
}

export type KeyDecision =
  | { readonly kind: 'admit' }
  | { readonly kind: 'refuse-concurrent' }
  | { readonly kind: 'refuse-rate'; readonly waitMs: number };

/** Requests at once come first: one too many of them must not use up the minute's allowance. */
export function keyDecision({ allowance, running, requestsPerMinute, concurrent }: KeyView): KeyDecision {
  if (concurrent !== undefined && running >= concurrent) return { kind: 'refuse-concurrent' };
  if (requestsPerMinute !== undefined && allowance < 1) {
    return { kind: 'refuse-rate', waitMs: ((1 - allowance) * MINUTE_MS) / requestsPerMinute };
  }
  return { kind: 'admit' };
}

/** The allowance `elapsedMs` later. */
export const refilled = (allowance: number, requestsPerMinute: number, elapsedMs: number): number =>
  Math.min(requestsPerMinute, allowance + (elapsedMs * requestsPerMinute) / MINUTE_MS);

/** OpenAI's headers about a rate: what it is, what is left of it, and when all of it is back. */
export function rateHeaders(allowance: number, requestsPerMinute: number): Record<string, string> {
  const resetMs = ((requestsPerMinute - allowance) * MINUTE_MS) / requestsPerMinute;
  return {
    'x-ratelimit-limit-requests': String(requestsPerMinute),
    'x-ratelimit-remaining-requests': String(Math.floor(allowance)),
    'x-ratelimit-reset-requests': duration(resetMs),
  };
}

/** As Go writes durations: `1m30s`, `250ms`. */
function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole < 1000) return `${whole}ms`;
  const seconds = Math.ceil(whole / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
