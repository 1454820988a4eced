/** The pause after a refusal, doubled with each that follows, in milliseconds. */
const PAUSE_MS = { first: 250, most: 5_000 };

/** How long whoever was refused waits before it tries again. Times are milliseconds of one clock. */
export class RefusalPause {
  #refusals = 0;
  #until = Number.NEGATIVE_INFINITY;

  /** Refusals within a pause count as one: they were asked together. */
  refused(now: number): void {
    if (now < this.#until) return;
    this.#until = now + Math.min(PAUSE_MS.most, PAUSE_MS.first * 2 ** this.#refusals);
    this.#refusals = Math.min(this.#refusals + 1, 16);
  }

  /** The next refusal is a first one. */
  accepted(): void {
    this.#refusals = 0;
  }

  leftMs(now: number): number {
    return Math.max(0, this.#until - now);
  }
}
