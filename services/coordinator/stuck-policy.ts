import { LIMITS, type WorkerId } from '@rondo/core';
import type { Progress } from '@rondo/wire';

/** How a worker moves, as of its last pulse. */
export interface Movement {
  readonly worker: WorkerId;
  readonly progress: Progress;
  /** What a run usually takes there, in milliseconds. */
  readonly stepMs: number;
}

/** A sequence's wait for its next event. */
export interface Wait {
  readonly ms: number;
  /** Runs of the engine that its home has ended meanwhile. */
  readonly homeSteps: number;
  /** Runs that may go before that event when everybody else on its home goes first. */
  readonly stepsMax: number;
  /** Of every worker of its route, its home first; undefined where nothing was heard yet. */
  readonly movements: readonly (Movement | undefined)[];
}

/** Who is stuck, and how that shows. */
export interface Stuck {
  readonly worker: WorkerId;
  readonly why: string;
}

/** How long a worker may stand still that has something to do, in milliseconds. */
const patienceMs = ({ stepMs }: Movement): number => Math.max(LIMITS.stillMs, LIMITS.stillSteps * stepMs);

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Whether the engine of this worker hangs: everything that runs there is lost, whatever else the worker says. */
export function hanging(movement: Movement): Stuck | undefined {
  const { worker, progress } = movement;
  if (progress.runningMs <= patienceMs(movement)) return undefined;
  return { worker, why: `a run of its engine has not ended for ${seconds(progress.runningMs)}` };
}

/**
 * Whether a sequence has waited long enough for a route whose workers all pulse, and on whom. A sequence that has not ended has a row
 * somewhere: ready, in a run or on a link. So it is lost when
 * 1. the engine of a worker of the route hangs in a run;
 * 2. no worker of the route has ended a run for as long as a run may last, nor has the sequence been heard of;
 * 3. its home has ended more runs than a queue of all others explains.
 */
export function stuck({ ms, homeSteps, stepsMax, movements }: Wait): Stuck | undefined {
  for (const movement of movements) {
    const hung = movement && hanging(movement);
    if (hung) return hung;
  }
  const [home] = movements;
  if (home === undefined) return undefined;
  const still = (movement: Movement | undefined) =>
    movement !== undefined && Math.min(ms, movement.progress.stillMs) > patienceMs(movement);
  if (movements.every(still)) {
    return { worker: home.worker, why: `nothing has run for it for ${seconds(ms)}, here or on its stages` };
  }
  if (homeSteps > stepsMax) {
    return { worker: home.worker, why: `${homeSteps} runs have gone by without it, ${stepsMax} may` };
  }
  return undefined;
}
