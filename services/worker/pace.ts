import type { Phase } from './chunk.ts';
import type { StepReport } from './step.ts';

/** How much the newest run counts: the average follows a change of load within some ten runs. */
const NEWEST_SHARE = 0.1;

/** How long runs take here, as moving averages of each phase. */
export class Pace {
  readonly #ms = new Map<Phase, number>();

  /** Milliseconds of a run of the block from building the batch to settling its last row, whatever its rows; 0 before the first. */
  get stepMs(): number {
    return this.#of('block');
  }

  /** Milliseconds of the way out of the loop: the coda's runs, where there is one, and the head's; 0 before the first. */
  get leavingMs(): number {
    return this.#of('coda') + this.#of('head');
  }

  ran({ phase, stepMs }: Pick<StepReport, 'phase' | 'stepMs'>): void {
    const before = this.#ms.get(phase);
    this.#ms.set(phase, before === undefined ? stepMs : before + NEWEST_SHARE * (stepMs - before));
  }

  #of(phase: Phase): number {
    return this.#ms.get(phase) ?? 0;
  }
}
