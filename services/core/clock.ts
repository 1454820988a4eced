/** Monotonic milliseconds. Passed in, so that tests own the time. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => performance.now() };

/** A clock that stands still until told otherwise. */
export class ManualClock implements Clock {
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}
