/** How long one reading may count, in milliseconds: clocks drift apart by 50 ms in as many seconds at worst. */
const WINDOW_MS = 60_000;

/** A word may have taken so long, in milliseconds: a clock that seems behind by no more is believed, as those that NTP keeps are. */
const WAY_MS = 50;

/**
 * How far another machine's clock is behind this one's, from the times it says in passing: of what arrives, the word that was quickest
 * tells best. Of a clock that is not believed, that word's way counts as if it were time: nothing seems to have happened after it was heard of.
 */
export class ClockOffset {
  #least = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  #sinceMs = Number.NEGATIVE_INFINITY;

  /** It said `theirsMs`, which came here at `oursMs`; both in milliseconds since 1970. */
  heard(theirsMs: number, oursMs: number): void {
    if (oursMs - this.#sinceMs > WINDOW_MS) {
      this.#leastBefore = this.#least;
      this.#least = Number.POSITIVE_INFINITY;
      this.#sinceMs = oursMs;
    }
    this.#least = Math.min(this.#least, oursMs - theirsMs);
  }

  /** To be added to its times, in milliseconds; 0 before the first word. */
  get ms(): number {
    const least = Math.min(this.#least, this.#leastBefore);
    if (!Number.isFinite(least)) return 0;
    return least >= 0 && least <= WAY_MS ? 0 : least;
  }
}
