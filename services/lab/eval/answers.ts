/** What a model makes of one multiple-choice question. */
export interface Answers {
  /** Σ log p of each choice's ids given the question, in nats. */
  readonly logLikelihoods: readonly number[];
  /** The likeliest choice is the right one. */
  readonly correct: boolean;
  /** The choice of the highest log likelihood per character is the right one. */
  readonly correctNorm: boolean;
}
