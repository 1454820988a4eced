import type { Work } from '@rondo/wire';
import { depthOf } from './chunk.ts';
import type { StepReport } from './step.ts';

/** Counts what the block has run, for whoever shows a worker at work: two pulses tell rows per run and rows per depth between them. */
export class WorkDone {
  readonly #depthRows: Uint32Array;
  #runs = 0;

  constructor(maxDepth: number) {
    this.#depthRows = new Uint32Array(maxDepth);
  }

  ran({ phase, chunks }: Pick<StepReport, 'phase' | 'chunks'>): void {
    if (phase !== 'block') return;
    this.#runs = (this.#runs + 1) >>> 0;
    for (const chunk of chunks) this.#depthRows[depthOf(chunk)]! += chunk.rows;
  }

  get now(): Work {
    return { runs: this.#runs, depthRows: [...this.#depthRows] };
  }
}
