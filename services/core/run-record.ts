import type { WorkerId } from './ids.ts';

/** The phases of a run, as a trace names them. */
export type RunPhase = 'prelude' | 'block' | 'coda' | 'head';

/** What one run of an engine did for one chunk: a pass when its phase is the block. */
export interface RunRecord {
  readonly phase: RunPhase;
  /** Position of the chunk's first row. */
  readonly start: number;
  readonly rows: number;
  /** Of the pass; 0 outside the block. */
  readonly depth: number;
  readonly worker: WorkerId;
  /** Number of the step among those of its worker, modulo 2^32. */
  readonly step: number;
  /** Rows of all sequences in the step, and the depths that it mixed, ascending. */
  readonly stepRows: number;
  readonly stepDepths: readonly number[];
  /** When the rows were ready there, in milliseconds since 1970 by that worker's clock. */
  readonly readyMs: number;
  /** From there to the start of the step. */
  readonly waitMs: number;
  /** From the start of the step to its result. */
  readonly runMs: number;
  /** What the exit rule looked at after the pass: survival, latent difference or confidence; absent where it did not look. */
  readonly signal?: number | undefined;
  /** The row left the loop after this pass, before its last. */
  readonly exited: boolean;
}

/** Runs of one sequence since those told before; only for a sequence whose request asks for them. */
export interface RunsEvent {
  readonly type: 'runs';
  readonly epoch: number;
  readonly runs: readonly RunRecord[];
  /** How many more there were than anybody keeps. */
  readonly dropped: number;
}
