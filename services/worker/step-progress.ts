import type { Clock } from '@rondo/core';
import type { Progress } from '@rondo/wire';

/** Follows the runs of the engine, so that pulses can tell a worker with much to do from one that is stuck. */
export class StepProgress {
  readonly #clock: Clock;
  #steps = 0;
  #endedAt: number;
  #beganAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#endedAt = clock.now();
  }

  began(): void {
    this.#beganAt = this.#clock.now();
  }

  /** The run has ended, well or not. */
  ended(): void {
    this.#steps = (this.#steps + 1) >>> 0;
    this.#endedAt = this.#clock.now();
    this.#beganAt = undefined;
  }

  get now(): Progress {
    const now = this.#clock.now();
    const runningMs = this.#beganAt === undefined ? 0 : now - this.#beganAt;
    return { steps: this.#steps, stillMs: now - this.#endedAt, runningMs };
  }
}
