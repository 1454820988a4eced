import type { Engine, StackBatch } from '@rondo/engine';
import type { RunCosts } from './run-costs.ts';

/** Rows of the runs that tell what a run costs and what a row: two sizes make a line, and neither takes long. */
export const FIRST_RUN_ROWS = [1, 16] as const;
/** Of each size the fastest counts: the first one allocates and finds caches cold. */
const TURNS = 3;

/**
 * Runs the block on the null page in two sizes, so that `costs` are known before anybody asks: a worker that is full from the first
 * request on has runs of one size only.
 * @throws RondoError ENGINE_FAILED when the engine cannot run that.
 */
export async function learnFromFirstRuns(engine: Engine, hidden: number, costs: RunCosts): Promise<void> {
  for (const rows of FIRST_RUN_ROWS) {
    let stepMs = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < TURNS; turn++) {
      const { runMs } = await engine.runStack(onNullPage(rows, hidden));
      stepMs = Math.min(stepMs, runMs);
    }
    costs.ran({ phase: 'block', rows, stepMs });
  }
}

/** Decoding rows at position 0 of nobody's page. */
const onNullPage = (rows: number, hidden: number): StackBatch => ({
  stack: 'block',
  input: new Float32Array(rows * hidden).fill(1),
  starts: new Int32Array(rows),
  rowCounts: new Int32Array(rows).fill(1),
  depths: new Int32Array(rows),
  pageTable: new Int32Array(rows),
  copies: [],
});
