import type { StepReport } from './step.ts';

/** How much the newest run counts in its octave, as in `pace`. */
const NEWEST_SHARE = 0.1;

/** A run of n rows of the block takes about `fixedMs` + n·`rowMs` milliseconds. */
export interface BlockCosts {
  readonly fixedMs: number;
  readonly rowMs: number;
}

/** Averages over the runs of one octave of rows. */
interface Octave {
  rows: number;
  ms: number;
}

/**
 * What a run of the block takes here whatever is in it, and what each row adds: the line through one moving average for each
 * octave of rows (1, 2–3, 4–7 …), fitted by least squares of its relative error. It knows nothing of how much K and V the rows
 * read, nor that a step takes longer beside other work; both move the averages.
 */
export class RunCosts {
  readonly #octaves = new Map<number, Octave>();

  ran({ phase, rows, stepMs }: Pick<StepReport, 'phase' | 'rows' | 'stepMs'>): void {
    if (phase !== 'block' || rows < 1 || stepMs <= 0) return;
    const name = Math.floor(Math.log2(rows));
    const octave = this.#octaves.get(name);
    if (!octave) this.#octaves.set(name, { rows, ms: stepMs });
    else {
      octave.rows += NEWEST_SHARE * (rows - octave.rows);
      octave.ms += NEWEST_SHARE * (stepMs - octave.ms);
    }
  }

  /** Undefined until runs of two sizes have been seen. */
  get block(): BlockCosts | undefined {
    if (this.#octaves.size < 2) return undefined;
    let [weights, rowSum, msSum, rowsSquared, rowsByMs] = [0, 0, 0, 0, 0];
    for (const { rows, ms } of this.#octaves.values()) {
      const weight = 1 / ms ** 2;
      weights += weight;
      rowSum += weight * rows;
      msSum += weight * ms;
      rowsSquared += weight * rows ** 2;
      rowsByMs += weight * rows * ms;
    }
    const variance = weights * rowsSquared - rowSum ** 2;
    const rowMs = Math.max(0, (weights * rowsByMs - rowSum * msSum) / variance);
    return { rowMs, fixedMs: Math.max(0, (msSum - rowMs * rowSum) / weights) };
  }
}
