import type { Head } from './head.ts';

/** What a model makes of the scored ids of one window. Sums, so that windows can be added up. */
export interface WindowScore {
  readonly tokens: number;
  readonly bytes: number;
  /** −Σ log p(id), in nats. */
  readonly nll: number;
  /** Rows whose most likely id is the reference's. */
  readonly agreed: number;
  /** Σ KL(reference ‖ model) over the rows, in nats. */
  readonly kl: number;
  /** Rows at the beginning of the window whose most likely id is the id that follows: how far greedy text would go along. */
  readonly led: number;
  /** Passes that the rows spent. */
  readonly passes: number;
}

/** The reference's distribution at one row. */
export interface Reference {
  readonly head: Head;
  /** [vocab] */
  readonly probabilities: Float32Array;
}

export function referenceOf(head: Head): Reference {
  return { head, probabilities: head.logits.map((logit) => Math.exp(logit - head.logSumExp)) };
}

/** KL(reference ‖ model) of one row, in nats: exactly 0 for equal logits. */
export function divergence({ head, probabilities }: Reference, model: Head): number {
  const { logits } = head;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += probabilities[id]! * (logits[id]! - model.logits[id]!);
  return sum - head.logSumExp + model.logSumExp;
}

/** log p(id) of one row, in nats. */
export const logProbabilityOf = (head: Head, id: number): number => head.logits[id]! - head.logSumExp;

/** Adds up the rows of one window, in order. */
export class WindowTally {
  readonly #bytes: number;
  #tokens = 0;
  #nll = 0;
  #agreed = 0;
  #kl = 0;
  #led = 0;
  #passes = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** One row after `passes` passes, and the id that follows it. */
  add(head: Head, id: number, passes: number, reference: Reference): void {
    if (head.topId === id && this.#led === this.#tokens) this.#led++;
    this.#tokens++;
    this.#nll -= logProbabilityOf(head, id);
    this.#passes += passes;
    if (head.topId === reference.head.topId) this.#agreed++;
    this.#kl += divergence(reference, head);
  }

  score(): WindowScore {
    return {
      tokens: this.#tokens,
      bytes: this.#bytes,
      nll: this.#nll,
      agreed: this.#agreed,
      kl: this.#kl,
      led: this.#led,
      passes: this.#passes,
    };
  }
}
