import { LIMITS } from '@rondo/core';

/** Faults that are remembered of one worker: more lengthen no pause. */
const FAULTS_MAX = 16;

/**
 * How far a worker that said what it must not is trusted with new sequences. Every fault doubles the pause in which it is given none;
 * after it, one at a time, and each that ends well makes good for one fault. Times are milliseconds of one clock.
 */
export class Reputation {
  #faults = 0;
  #until = Number.NEGATIVE_INFINITY;

  /** Faults that it has not made good for. */
  get faults(): number {
    return this.#faults;
  }

  /** It contradicted itself or what it was asked. What comes within a pause is of sequences from before it. */
  contradicted(now: number): void {
    if (now < this.#until) return;
    this.#until = now + Math.min(LIMITS.shunMaxMs, LIMITS.shunMs * 2 ** this.#faults);
    this.#faults = Math.min(FAULTS_MAX, this.#faults + 1);
  }

  /** A sequence that lived there has ended well. */
  behaved(now: number): void {
    if (now >= this.#until) this.#faults = Math.max(0, this.#faults - 1);
  }

  /** What is left of its pause. */
  shunnedMs(now: number): number {
    return Math.max(0, this.#until - now);
  }

  /** Whether it may be given a new sequence while it holds so many. */
  takes(now: number, sequences: number): boolean {
    return this.#faults === 0 || (now >= this.#until && sequences === 0);
  }
}
