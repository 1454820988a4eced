/** How the next token is chosen. All fields are validated at the HTTP door; inside they are always in range. */
export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Nucleus mass in (0, 1]; 1 is off. */
  readonly topP: number;
  /** Keep the k likeliest; 0 is off. */
  readonly topK: number;
  /** Keep tokens at least this fraction as likely as the likeliest; 0 is off. */
  readonly minP: number;
  /** Unsigned 32-bit. The draw for token i depends on (seed, i) only. */
  readonly seed: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** > 1 discourages repetition of prompt and output tokens; 1 is off. (Keskar et al. 2019, CTRL, §4.1) */
  readonly repetitionPenalty: number;
  /** Added to the logit of each token id. */
  readonly logitBias: ReadonlyMap<number, number>;
}

/** A candidate token with its log probability under the model (before temperature and filters). */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}
