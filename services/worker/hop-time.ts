/** How much the newest hop counts. */
const NEWEST_SHARE = 0.2;

/** How long rows take from this worker's outbox to another's inbox, as a moving average over all links. */
export class HopTime {
  #hopMs = 0;
  #wordMs = Number.POSITIVE_INFINITY;

  /** Milliseconds; before the first rows half of the quickest word there and back, 0 before that. */
  get hopMs(): number {
    if (this.#hopMs > 0) return this.#hopMs;
    return Number.isFinite(this.#wordMs) ? this.#wordMs / 2 : 0;
  }

  /** A word went to another worker and back in so many milliseconds. */
  word(ms: number): void {
    this.#wordMs = Math.min(this.#wordMs, ms);
  }

  /**
   * Rows went there and were taken in, and word of it came back, in so many milliseconds. Returns the hop's: without the way back, which
   * takes half of the quickest word, so that a hop never looks shorter than it is for want of a quick answer.
   */
  rows(ms: number): number {
    const backMs = Number.isFinite(this.#wordMs) ? this.#wordMs / 2 : 0;
    const hopMs = Math.max(0, ms - backMs);
    this.#hopMs = this.#hopMs === 0 ? hopMs : this.#hopMs + NEWEST_SHARE * (hopMs - this.#hopMs);
    return hopMs;
  }
}
