/** What a client saw of one request. Times are milliseconds of this process's monotonic clock. */
export interface RequestRecord {
  readonly sentMs: number;
  /** `ended`: all tokens and [DONE] came. `refused`: an HTTP error. `failed`: broken off. `left`: the client left. */
  readonly outcome: 'ended' | 'refused' | 'failed' | 'left';
  /** 0 when no answer came. */
  readonly status: number;
  /** Of a refusal: what `Retry-After` says. */
  readonly retryAfterS?: number;
  readonly error?: string;
  /** When each token arrived. */
  readonly tokenMs: readonly number[];
  readonly endedMs: number;
  /** As usage says; zero unless the request ended. */
  readonly passes: { readonly prompt: number; readonly generated: number };
}

/** Sending to first token; NaN without one. */
export const timeToFirstToken = ({ sentMs, tokenMs }: RequestRecord): number =>
  (tokenMs[0] ?? Number.NaN) - sentMs;

/** Times from one token to the next. */
export const tokenGaps = ({ tokenMs }: RequestRecord): number[] =>
  tokenMs.slice(1).map((ms, index) => ms - tokenMs[index]!);
