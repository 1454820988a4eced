import type { StepReport } from './step.ts';

/** How much the newest run counts: the average follows a change of load within some ten runs. */
const NEWEST_SHARE = 0.1;

/** How long a run of the block takes here, as a moving average. */
export class Pace {
  #stepMs = 0;

  /** Milliseconds from building a batch to settling its last row, whatever its rows; 0 before the first. */
  get stepMs(): number {
    return this.#stepMs;
  }

  ran({ phase, stepMs }: Pick<StepReport, 'phase' | 'stepMs'>): void {
    if (phase !== 'block') return;
    this.#stepMs = this.#stepMs === 0 ? stepMs : this.#stepMs + NEWEST_SHARE * (stepMs - this.#stepMs);
  }
}
