import { RandomStream } from './random-stream.ts';

/** One request as the load generator sends it: token ids in, exactly `maxTokens` tokens out, greedy. */
export interface LoadRequest {
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly seed: number;
  /** Further fields of the request body. */
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A range of lengths, both ends included. */
export interface LengthRange {
  readonly least: number;
  readonly most: number;
}

export interface WorkloadOptions {
  readonly seed: number;
  readonly promptTokens: LengthRange;
  readonly outputTokens: LengthRange;
  /** Prompt ids are drawn from these, both ends included: keep control tokens out. */
  readonly ids: { readonly first: number; readonly last: number };
  /** Further fields of request `index`. */
  readonly fields?: (index: number) => Readonly<Record<string, unknown>>;
}

/** A seeded, endless list of requests: the same seed gives the same request at the same index, whoever asks when. */
export class Workload {
  readonly #options: WorkloadOptions;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  request(index: number): LoadRequest {
    const { seed, promptTokens, outputTokens, ids, fields } = this.#options;
    const own = (seed + Math.imul(index + 1, 0x9e3779b1)) >>> 0;
    const draws = new RandomStream(own);
    const length = logUniform(draws, promptTokens);
    const maxTokens = logUniform(draws, outputTokens);
    return {
      promptIds: Array.from({ length }, () => draws.whole(ids.first, ids.last)),
      maxTokens,
      seed: own,
      ...(fields && { fields: fields(index) }),
    };
  }
}

/** Lengths of real traffic have a long tail: each octave of the range is as likely as any other. */
function logUniform(draws: RandomStream, { least, most }: LengthRange): number {
  const exact = least * (most / least) ** draws.next();
  return Math.min(most, Math.max(least, Math.round(exact)));
}
