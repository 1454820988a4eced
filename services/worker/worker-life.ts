import type { RondoError } from '@rondo/core';

/** Whether a worker serves, drains or is broken. */
export class WorkerLife {
  readonly #broken = Promise.withResolvers<RondoError>();
  readonly #empty = Promise.withResolvers<void>();
  #draining = false;
  #failure: RondoError | undefined;

  get draining(): boolean {
    return this.#draining;
  }

  /** Why it can serve no more. */
  get failure(): RondoError | undefined {
    return this.#failure;
  }

  /** Settles with the failure. */
  get broken(): Promise<RondoError> {
    return this.#broken.promise;
  }

  /** Says whether this is the failure: what follows from one is none. */
  breakDown(error: RondoError): boolean {
    if (this.#failure) return false;
    this.#failure = error;
    this.#broken.resolve(error);
    return true;
  }

  drain(): void {
    this.#draining = true;
  }

  /** A draining worker's last sequence has left. */
  emptied(): void {
    if (this.#draining) this.#empty.resolve();
  }

  /** Until the last sequence has left, `ms` at most. */
  async untilEmpty(ms: number): Promise<void> {
    const late = setTimeout(this.#empty.resolve, ms);
    await this.#empty.promise;
    clearTimeout(late);
  }
}
