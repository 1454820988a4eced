/** How much the newest round trip counts. */
const NEWEST_SHARE = 0.2;

/** How long a frame takes to other workers, as a moving average over all links: half of the way there and back. */
export class HopTime {
  #hopMs = 0;

  /** Milliseconds; 0 before the first. */
  get hopMs(): number {
    return this.#hopMs;
  }

  roundTrip(ms: number): void {
    this.#hopMs = this.#hopMs === 0 ? ms / 2 : this.#hopMs + NEWEST_SHARE * (ms / 2 - this.#hopMs);
  }
}
