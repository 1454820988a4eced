import type { HeadRow, Stack } from '@rondo/engine';
import type { Tenant } from './tenant.ts';

/** What the engine can run: a stack, or the head. */
export type Phase = (typeof PHASES)[number];
export const PHASES = ['prelude', 'block', 'coda', 'head'] as const satisfies readonly (Stack | 'head')[];

/** Consecutive positions of one sequence that move together; a decode row is a chunk of 1. */
export interface Chunk {
  readonly tenant: Tenant;
  readonly phase: Phase;
  /** Passes its rows have spent; in the block this is the depth of the next one. */
  readonly passes: number;
  /** Position of the first row. */
  readonly start: number;
  readonly rows: number;
  /** Token ids [rows] for the prelude, states [rows·hidden] for all else. */
  readonly input: Int32Array | Float32Array;
  /** The input where its memory is this chunk's alone, so that a run may take it as it is; another array, or none, where it is not. */
  readonly own?: Float32Array | undefined;
  /** ∏(1 − λ) over the passes spent, for models with an exit gate. */
  readonly survival: number;
  /** Head only: candidates will not do. */
  readonly wantLogits: boolean;
  /** Leading rows whose token is out already: they only bring their K/V up to full depth. (kvPolicy catch-up) */
  readonly owed: number;
  /** Coda and head: the state [hidden] with which the row returns to the loop if the head is not sure of its token. */
  readonly undecided?: Float32Array | undefined;
  /** Since when it can run, by `performance.now()`; only of sequences that tell their runs. */
  readonly readyMs?: number | undefined;
  /** After a run that took it to the head: what that said of its last rows. */
  readonly heads?: readonly HeadRow[] | undefined;
}

/** Which of a chunk's rows somebody waits for: those behind the owed ones. */
export const liveRows = ({ start, rows, owed }: Chunk): Pick<Chunk, 'start' | 'rows'> => ({
  start: start + owed,
  rows: rows - owed,
});

/** Depth of the K/V that a chunk's next run reads and writes: prelude and coda have one. */
export const depthOf = (chunk: Chunk): number => (chunk.phase === 'block' ? chunk.passes : 0);
