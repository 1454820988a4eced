/** What the console shows of one worker. Counts only rise, modulo 2^32: two frames tell rates between them. */
export interface LiveWorker {
  readonly id: string;
  readonly model: string;
  readonly state: string;
  readonly sequences: number;
  /** Faults that it has not made good for: more than none and it is given nothing new, or little. */
  readonly faults: number;
  /** Share of the positions of K and V that is held, 0 to 1. */
  readonly kvShare: number;
  readonly runs: number;
  readonly depthRows: readonly number[];
}

/** What the console and `rondo top` are told twice a second. */
export interface LiveFrame {
  readonly atMs: number;
  readonly models: readonly string[];
  readonly maxDepth: number;
  /** Requests in flight, and sequences that no worker has room for yet, of all models. */
  readonly running: number;
  readonly waiting: number;
  readonly workers: readonly LiveWorker[];
  /** Tokens that answers have had so far. */
  readonly tokens: number;
  /** Of these by the passes of their rows; entry 0 is one pass. */
  readonly exits: readonly number[];
  /** Medians over the last answers and tokens, as clients have them, in milliseconds; null before the first. */
  readonly firstTokenMs: number | null;
  readonly betweenTokensMs: number | null;
}
