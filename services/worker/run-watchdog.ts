import { LIMITS, RondoError } from '@rondo/core';
import type { Progress } from '@rondo/wire';

/** The engine, as of now. */
export interface RunView {
  readonly progress: Progress;
  /** What a run usually takes here, in milliseconds; 0 before the first. */
  readonly usualMs: number;
}

/** How long a run may last before it counts as one that never ends, in milliseconds. */
export const hangLimitMs = (usualMs: number, hangMs: number): number =>
  Math.max(hangMs, LIMITS.hangSteps * usualMs);

/**
 * Notices a run of the engine that does not end. The engine runs in a thread of its own, so this one still turns. Counts turns
 * of the event loop, not time: a process that was frozen, or its machine, was away for one turn and no more.
 */
export class RunWatchdog {
  #steps = -1;
  #turns = 0;
  readonly #turning: NodeJS.Timeout;

  /** `hung` is called once, with WORKER_STUCK. */
  constructor(look: () => RunView, hung: (error: RondoError) => void, hangMs: number = LIMITS.hangMs) {
    this.#turning = setInterval(() => {
      const { progress, usualMs } = look();
      const same = progress.runningMs > 0 && progress.steps === this.#steps;
      this.#turns = same ? this.#turns + 1 : 0;
      this.#steps = progress.steps;
      if (this.#turns * LIMITS.pulseMs <= hangLimitMs(usualMs, hangMs)) return;
      this.end();
      hung(stuckIn(progress, usualMs));
    }, LIMITS.pulseMs);
    this.#turning.unref();
  }

  end(): void {
    clearInterval(this.#turning);
  }
}

const stuckIn = ({ runningMs }: Progress, usualMs: number): RondoError =>
  new RondoError(
    'WORKER_STUCK',
    `a run of the engine has not ended for ${(runningMs / 1000).toFixed(1)} s, runs here usually take ${usualMs.toFixed(1)} ms: only a new process helps`,
  );
