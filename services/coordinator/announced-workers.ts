import type { WorkerAnnouncement } from '@rondo/wire';

interface Known {
  readonly announcement: WorkerAnnouncement;
  /** Heard since the board was last found. */
  confirmed: boolean;
}

/**
 * Who is announced, when the board itself may be away. In order of priority:
 * 1. who says farewell is dropped at once;
 * 2. who is announced is there;
 * 3. while the board is away, and for `graceMs` after it was found again, nobody is dropped: workers need a moment to
 *    announce themselves again, and what expired meanwhile could not be renewed;
 * 4. after that, whoever expires is dropped, and so is whoever has not been heard since.
 */
export class AnnouncedWorkers {
  readonly #graceMs: number;
  readonly #known = new Map<string, Known>();
  /** When the grace ends; undefined before the board is found for the first time. */
  #graceEndsMs: number | undefined;

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  get all(): WorkerAnnouncement[] {
    return [...this.#known.values()].map(({ announcement }) => announcement);
  }

  /** The board was found, at `nowMs`: what hangs there is told next. */
  began(nowMs: number): void {
    for (const known of this.#known.values()) known.confirmed = false;
    this.#graceEndsMs = nowMs + this.#graceMs;
  }

  announced(key: string, announcement: WorkerAnnouncement): void {
    this.#known.set(key, { announcement, confirmed: true });
  }

  withdrawn(key: string): void {
    this.#known.delete(key);
  }

  expired(key: string, nowMs: number): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    known.confirmed = false;
    this.settle(nowMs);
  }

  /** Drops whoever may be dropped at `nowMs`. */
  settle(nowMs: number): void {
    if (this.#graceEndsMs === undefined || nowMs < this.#graceEndsMs) return;
    for (const [key, { confirmed }] of this.#known) if (!confirmed) this.#known.delete(key);
  }
}
