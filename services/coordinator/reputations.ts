import type { Clock, WorkerId } from '@rondo/core';
import { Reputation } from './reputation.ts';

/** What is remembered of a worker that said what it must not. */
export interface Distrust {
  /** Faults that it has not made good for. */
  readonly faults: number;
  /** How long it is given no new sequence yet, in milliseconds; then one at a time. */
  readonly shunnedMs: number;
}

/** The reputations of workers that have contradicted; all others are trusted. */
export class Reputations {
  readonly #clock: Clock;
  readonly #changed: (distrusted: number) => void;
  readonly #bad = new Map<WorkerId, Reputation>();

  /** `changed` is told how many workers have faults that they have not made good for. */
  constructor(clock: Clock, changed: (distrusted: number) => void) {
    this.#clock = clock;
    this.#changed = changed;
  }

  contradicted(id: WorkerId): void {
    const reputation = this.#bad.get(id) ?? new Reputation();
    this.#bad.set(id, reputation);
    reputation.contradicted(this.#clock.now());
    this.#changed(this.#bad.size);
  }

  behaved(id: WorkerId): void {
    const reputation = this.#bad.get(id);
    if (reputation === undefined) return;
    reputation.behaved(this.#clock.now());
    if (reputation.faults === 0) this.#bad.delete(id);
    this.#changed(this.#bad.size);
  }

  /** Undefined for a worker that is trusted. */
  of(id: WorkerId): Distrust | undefined {
    const reputation = this.#bad.get(id);
    return reputation && { faults: reputation.faults, shunnedMs: reputation.shunnedMs(this.#clock.now()) };
  }

  /** Those that are to be given nothing now while there are others. `sequences` tells what each of them holds. */
  shunned(sequences: (id: WorkerId) => number): ReadonlySet<WorkerId> {
    const now = this.#clock.now();
    const avoided = [...this.#bad].filter(([id, reputation]) => !reputation.takes(now, sequences(id)));
    return new Set(avoided.map(([id]) => id));
  }

  /** Forgets all but these: a worker that starts anew is another. */
  keep(ids: ReadonlySet<WorkerId>): void {
    for (const id of this.#bad.keys()) if (!ids.has(id)) this.#bad.delete(id);
    this.#changed(this.#bad.size);
  }
}
