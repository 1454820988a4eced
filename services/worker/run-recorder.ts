import { LIMITS, type RunRecord, type WorkerId } from '@rondo/core';
import type { HeadRequest, HeadResult } from '@rondo/engine';
import type { ToldRuns } from '@rondo/wire';
import { rowsOf } from './batch.ts';
import { type Chunk, depthOf, type Phase, stepDepthsOf } from './chunk.ts';

type Written = { -readonly [Field in keyof RunRecord]: RunRecord[Field] };

/** What has run for one sequence and was not told yet. A sequence that nobody asks about has none. */
export class RunRecorder {
  #runs: Written[] = [];
  #dropped = 0;

  add(run: RunRecord): void {
    if (this.#runs.length < LIMITS.runsHeld) this.#runs.push({ ...run });
    else this.#dropped++;
  }

  /** Runs that another worker tells of. */
  hear({ runs, dropped }: ToldRuns): void {
    this.#dropped += dropped;
    for (const run of runs) this.add(run);
  }

  /** What the exit rule made of the pass that this chunk ran last, its passes counted with that one. */
  decided({ start, rows, passes }: Chunk, signal: number | undefined, exited: boolean): void {
    const end = start + rows;
    const run = this.#runs.findLast(
      ({ phase, depth, start, rows }) => phase === 'block' && depth === passes - 1 && start + rows === end,
    );
    if (!run) return;
    run.signal = signal;
    run.exited = exited;
  }

  /** All since the last time; undefined when there is nothing to tell. */
  take(): ToldRuns | undefined {
    if (this.#runs.length === 0 && this.#dropped === 0) return undefined;
    const told = { runs: this.#runs, dropped: this.#dropped };
    this.#runs = [];
    this.#dropped = 0;
    return told;
  }
}

/** A run that has just ended; times by `performance.now()`. */
export interface EndedRun {
  readonly worker: WorkerId;
  readonly step: number;
  readonly phase: Phase;
  readonly chunks: readonly Chunk[];
  readonly beganMs: number;
  readonly endedMs: number;
  /** What the head was asked in the same run, and what it took. */
  readonly head?: HeadRequest & Pick<HeadResult, 'runMs'>;
}

/** Writes a run down for each sequence in it that asks for it; costs a look at each chunk when none does. */
export function recordRun({ head, ...run }: EndedRun): void {
  if (!run.chunks.some(({ tenant }) => tenant.recorder)) return;
  const headBeganMs = run.endedMs - (head?.runMs ?? 0);
  record({ ...run, endedMs: headBeganMs });
  if (!head) return;
  let end = 0;
  const seen = run.chunks.filter(({ rows }) => {
    const first = end;
    end += rows;
    return head.rows.some((row) => row >= first && row < end);
  });
  const chunks = seen.map((chunk) => ({ ...chunk, readyMs: headBeganMs }));
  record({ ...run, phase: 'head', chunks, beganMs: headBeganMs });
}

function record({ worker, step, phase, chunks, beganMs, endedMs }: Omit<EndedRun, 'head'>): void {
  const stepRows = rowsOf(chunks);
  const stepDepths = stepDepthsOf(phase, chunks);
  for (const chunk of chunks) {
    const { tenant, start, rows, readyMs = beganMs } = chunk;
    tenant.recorder?.add({
      phase,
      start,
      rows,
      depth: phase === 'block' ? depthOf(chunk) : 0,
      worker,
      step,
      stepRows,
      stepDepths,
      readyMs: performance.timeOrigin + readyMs,
      waitMs: beganMs - readyMs,
      runMs: endedMs - beganMs,
      exited: false,
    });
  }
}
