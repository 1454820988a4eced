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
  /**
   * Token ids [rows] for the prelude. For all else states [rows·hidden], or, where those stay on the engine's device, the
   * slots [rows] that hold them; a slot is another's once no chunk names it. (state-slots.ts)
   */
  readonly input: Int32Array | Float32Array;
  /** The input where its memory is this chunk's alone, so that a run may take it as it is; another array, or none, where it is not. */
  readonly own?: Float32Array | undefined;
  /** ∏(1 − λ) over the passes spent, for models with an exit gate. */
  readonly survival: number;
  /** Head only: candidates will not do. */
  readonly wantLogits: boolean;
  /** Leading rows whose token is out already: they only bring their K/V up to full depth. (kvPolicy catch-up) */
  readonly owed: number;
  /** Coda and head: the state [hidden], or its slot, with which the row returns to the loop if the head is not sure of its token. */
  readonly undecided?: Chunk['input'] | undefined;
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

/** Slots [rows] of a chunk whose states are on the engine's device. */
export const slotsOf = ({ phase, input }: Pick<Chunk, 'phase' | 'input'>): Int32Array | undefined =>
  phase !== 'prelude' && input instanceof Int32Array ? input : undefined;

/** The part of a chunk's input that belongs to its rows from `first` on, before `end`. */
export const inputOf = (
  { input, rows }: Pick<Chunk, 'input' | 'rows'>,
  first: number,
  end = rows,
): Chunk['input'] => input.subarray((input.length / rows) * first, (input.length / rows) * end);

/** Depth of the K/V that a chunk's next run reads and writes: prelude and coda have one. */
export const depthOf = (chunk: Chunk): number => (chunk.phase === 'block' ? chunk.passes : 0);

/** Depths that a step of these chunks runs, rising; none outside the block. */
export const stepDepthsOf = (phase: Phase, chunks: readonly Chunk[]): number[] =>
  phase === 'block' ? [...new Set(chunks.map(depthOf))].sort((a, b) => a - b) : [];
