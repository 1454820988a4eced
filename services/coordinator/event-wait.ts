import type { Clock, Route, WorkerId } from '@rondo/core';
import { type Movement, type Stuck, stuck } from './stuck-policy.ts';

/** A sequence's wait for its next event, seen beside the pulses of the workers it runs on. */
export class EventWait {
  readonly #clock: Clock;
  /** The last pulses of the route's workers, its home first. */
  readonly #movements = new Map<WorkerId, Movement | undefined>();
  #home: WorkerId | undefined;
  #since: number | undefined;
  #stepsMax = 0;
  /** Runs that the home had ended at its first pulse since then. */
  #stepsBefore: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The sequence runs on this route from now on: a wait that was under way begins anew. */
  opened({ home, stages }: Route, stepsMax: number): void {
    this.#movements.clear();
    this.#home = home.id;
    if (this.#since !== undefined) this.begin(stepsMax);
    for (const { id } of [home, ...stages.map(({ worker }) => worker)]) this.#movements.set(id, undefined);
  }

  /** The next event is waited for; its home may end so many runs before it. */
  begin(stepsMax: number): void {
    this.#since = this.#clock.now();
    this.#stepsMax = stepsMax;
    this.#stepsBefore = undefined;
  }

  /** It has come, or is not waited for any more. */
  end(): void {
    this.#since = undefined;
  }

  /** A worker has pulsed. Returns who is stuck when the wait is over because of that. */
  moved(movement: Movement): Stuck | undefined {
    if (this.#since === undefined || !this.#movements.has(movement.worker)) return undefined;
    this.#movements.set(movement.worker, movement);
    const steps = this.#movements.get(this.#home!)?.progress.steps;
    this.#stepsBefore ??= steps;
    return stuck({
      ms: this.#clock.now() - this.#since,
      homeSteps: ((steps ?? 0) - (this.#stepsBefore ?? 0)) >>> 0,
      stepsMax: this.#stepsMax,
      movements: [...this.#movements.values()],
    });
  }
}
