import { LIMITS } from '@rondo/core';

/**
 * Notices that a peer says nothing any more. Counts turns of this process's event loop, not time: between two turns
 * everything that has arrived is read, so a process that was held up itself does not take that for its peer's silence.
 */
export class Silence {
  #turns = 0;
  readonly #turning: NodeJS.Timeout;

  /** `silent` is called once, after `LIMITS.silentTurns` turns in which nothing was heard; `turn` at each before. */
  constructor(silent: () => void, turn?: () => void) {
    this.#turning = setInterval(() => {
      if (++this.#turns < LIMITS.silentTurns) return turn?.();
      this.end();
      silent();
    }, LIMITS.pulseMs);
    this.#turning.unref();
  }

  /** The peer has said something. */
  heard(): void {
    this.#turns = 0;
  }

  end(): void {
    clearInterval(this.#turning);
  }
}
