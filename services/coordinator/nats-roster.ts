import type { Logger } from '@rondo/chassis';
import { type Clock, LIMITS, systemClock } from '@rondo/core';
import type { AnnouncementBoard, BoardListener, NatsState, WorkerAnnouncement } from '@rondo/wire';
import { AnnouncedWorkers } from './announced-workers.ts';
import type { Announcement, Roster, RosterHealth } from './roster.ts';

export interface NatsRosterOptions {
  /** Only workers that hold this bundle are announced on. */
  readonly bundleDigest: string;
  readonly board: Pick<AnnouncementBoard, 'watch'>;
  readonly state: () => NatsState;
  readonly log: Logger;
  readonly clock?: Clock | undefined;
  /** How long nobody is dropped after NATS was found again, in milliseconds. */
  readonly graceMs?: number | undefined;
}

/** Workers that announce themselves over NATS. While NATS is away the last view stays; see `AnnouncedWorkers`. */
export class NatsRoster implements Roster {
  readonly #options: NatsRosterOptions;
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #workers: AnnouncedWorkers;
  readonly #listeners = new Set<(announced: readonly Announcement[]) => void>();
  readonly #reported = new Set<string>();
  readonly #stop: () => void;
  #told = '[]';
  #graceTimer: NodeJS.Timeout | undefined;
  #failure = '';

  constructor(options: NatsRosterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#graceMs = options.graceMs ?? LIMITS.announcementGraceMs;
    this.#workers = new AnnouncedWorkers(this.#graceMs);
    this.#stop = options.board.watch(this.#boardListener());
  }

  subscribe(listener: (announced: readonly Announcement[]) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#current());
    return () => void this.#listeners.delete(listener);
  }

  health(): RosterHealth {
    return {
      nats: this.#options.state(),
      announced: this.#workers.all.length,
      mismatched: this.#workers.all
        .filter((announcement) => !this.#fits(announcement))
        .map(({ workerId, address, bundleName, bundleDigest }) => ({
          id: workerId,
          address,
          bundle: `${bundleName} (${bundleDigest.slice(0, 12)})`,
        })),
    };
  }

  close(): void {
    clearTimeout(this.#graceTimer);
    this.#stop();
    this.#listeners.clear();
  }

  #boardListener(): BoardListener {
    return {
      began: () => {
        this.#failure = '';
        this.#workers.began(this.#clock.now());
        clearTimeout(this.#graceTimer);
        this.#graceTimer = setTimeout(() => {
          this.#workers.settle(this.#clock.now());
          this.#tell();
        }, this.#graceMs + 1);
        this.#graceTimer.unref();
      },
      announced: (key, announcement) => {
        this.#workers.announced(key, announcement);
        if (!this.#fits(announcement)) this.#reportMismatch(key, announcement);
        this.#tell();
      },
      expired: (key) => {
        this.#workers.expired(key, this.#clock.now());
        this.#tell();
      },
      withdrawn: (key) => {
        this.#workers.withdrawn(key);
        this.#tell();
      },
      failed: ({ code, message }) => {
        // The same trouble is met at every try.
        if (message !== this.#failure) this.#options.log.warn({ code }, message);
        this.#failure = message;
      },
    };
  }

  #fits({ bundleDigest }: WorkerAnnouncement): boolean {
    return bundleDigest === this.#options.bundleDigest;
  }

  #current(): Announcement[] {
    return this.#workers.all
      .filter((announcement) => this.#fits(announcement))
      .map(({ workerId, address, state }) => ({ workerId, address, state }));
  }

  /** Tells who is announced, when that has changed: most announcements are renewals or another load. */
  #tell(): void {
    const current = this.#current();
    const told = JSON.stringify(current);
    if (told === this.#told) return;
    this.#told = told;
    for (const listener of [...this.#listeners]) listener(current);
  }

  #reportMismatch(key: string, { address, bundleName }: WorkerAnnouncement): void {
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#options.log.warn(
      { address, bundle: bundleName },
      'an announced worker holds another bundle and is left alone',
    );
  }
}
