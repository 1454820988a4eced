/** Lines that had ended at a time in milliseconds. */
export interface PaceSample {
  readonly atMs: number;
  readonly done: number;
}

/** What is remembered, in milliseconds: long enough for lines of seconds, short enough to see a change. */
const WINDOW_MS = 60_000;

/** How fast a batch goes on, as far as it was watched. */
export class BatchPace {
  #samples: PaceSample[] = [];

  note(sample: PaceSample): void {
    this.#samples = [...this.#samples.filter(({ atMs }) => sample.atMs - atMs <= WINDOW_MS), sample];
  }

  /** Lines a second; 0 until two are known apart. */
  get perSecond(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
    return ((last.done - first.done) * 1000) / (last.atMs - first.atMs);
  }

  /** `12.3 lines/s, 4 min left`, as far as it can be said. */
  words(left: number): string {
    const rate = this.perSecond;
    if (rate <= 0 || left <= 0) return '';
    return `, ${rate.toFixed(1)} lines/s, ${duration(left / rate)} left`;
  }
}

/** `12 s`, `4 min`, `3.2 h`. */
function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
