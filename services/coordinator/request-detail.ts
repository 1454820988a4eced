export type RequestState = 'running' | 'finished' | 'failed' | 'cancelled';

/** What /console/requests tells of one request. */
export interface RequestSummary {
  readonly id: string;
  /** Null unless somebody has its trace. */
  readonly trace_id: string | null;
  readonly model: string;
  /** Milliseconds since 1970. */
  readonly started_ms: number;
  readonly state: RequestState;
  readonly finish_reason: string | null;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly passes: number;
  readonly ttft_ms: number | null;
  readonly total_ms: number | null;
  readonly workers: readonly string[];
}

type Attributes = Readonly<Record<string, unknown>>;

export interface RequestSpan {
  readonly name: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly attributes: Attributes;
}

/** One pass that rows of a request ran: ready at `start_ms` of the request, they waited, ran and, where the next worker is another, travelled on. */
export interface PassRun {
  /** Index of the token; null for rows of the prompt. */
  readonly token: number | null;
  readonly position: number;
  readonly rows: number;
  readonly depth: number;
  readonly worker: string;
  readonly step: number;
  /** Rows of all requests in that step. */
  readonly step_rows: number;
  readonly step_depths: readonly number[];
  readonly start_ms: number;
  readonly wait_ms: number;
  readonly run_ms: number;
  readonly hop_ms: number | null;
  readonly signal: number | null;
  readonly exited: boolean;
}

/** What /console/requests/<id> tells; times in milliseconds since the request came in, unless said otherwise. */
export interface RequestDetail extends RequestSummary {
  readonly spans: readonly RequestSpan[];
  readonly passes_run: readonly PassRun[];
  readonly events: readonly {
    readonly at_ms: number;
    readonly name: string;
    readonly attributes: Attributes;
  }[];
  /** There were more passes than are kept. */
  readonly truncated: boolean;
}
