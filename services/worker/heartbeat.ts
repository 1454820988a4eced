import { LIMITS } from '@rondo/core';
import type { Pulse } from '@rondo/wire';

/** Tells whoever watches this worker how it is: every `LIMITS.pulseMs`, and at once when its state has changed. */
export class Heartbeat {
  readonly #now: () => Pulse;
  readonly #waiting = new Set<() => void>();

  /** `now` looks at the worker whenever a pulse is due. */
  constructor(now: () => Pulse) {
    this.#now = now;
  }

  /** The state has changed: every watcher hears of it now. */
  changed(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Pulses for one watcher, until `signal` fires. */
  async *pulses(signal: AbortSignal): AsyncGenerator<Pulse, void, undefined> {
    while (!signal.aborted) {
      yield this.#now();
      if (!signal.aborted) await this.#due(signal);
    }
  }

  #due(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, LIMITS.pulseMs);
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
