import type { Logger } from '@rondo/chassis';
import { type Clock, LIMITS, systemClock } from '@rondo/core';
import type { AnnouncementBoard, BoardListener, NatsState, WorkerAnnouncement } from '@rondo/wire';
import { AnnouncedWorkers } from './announced-workers.ts';
import type { Announcement, Roster, RosterHealth, Rosters } from './roster.ts';

export interface NatsRosterOptions {
  /** Only workers that hold one of these bundles are announced on. */
  readonly bundleDigests: readonly string[];
  readonly board: Pick<AnnouncementBoard, 'watch'>;
  readonly state: () => NatsState;
  readonly log: Logger;
  readonly clock?: Clock | undefined;
  /** How long nobody is dropped after NATS was found again, in milliseconds. */
  readonly graceMs?: number | undefined;
}

/** Workers that announce themselves over NATS. While NATS is away the last view stays; see `AnnouncedWorkers`. */
export class NatsRoster implements Rosters {
  readonly #options: NatsRosterOptions;
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #workers: AnnouncedWorkers;
  readonly #tellers = new Set<() => void>();
  readonly #reported = new Set<string>();
  readonly #stop: () => void;
  #graceTimer: NodeJS.Timeout | undefined;
  #failure = '';

  constructor(options: NatsRosterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#graceMs = options.graceMs ?? LIMITS.announcementGraceMs;
    this.#workers = new AnnouncedWorkers(this.#graceMs);
    this.#stop = options.board.watch(this.#boardListener());
  }

  of(digest: string): Roster {
    return {
      subscribe: (listener) => {
        let told: string | undefined;
        const tell = () => {
          const current = this.#holders(digest);
          // Most announcements are renewals, or another load.
          const now = JSON.stringify(current);
          if (now === told) return;
          told = now;
          listener(current);
        };
        this.#tellers.add(tell);
        tell();
        return () => void this.#tellers.delete(tell);
      },
    };
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
    this.#tellers.clear();
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
    return this.#options.bundleDigests.includes(bundleDigest);
  }

  #holders(digest: string): Announcement[] {
    return this.#workers.all
      .filter(({ bundleDigest }) => bundleDigest === digest)
      .map(({ workerId, address, state }) => ({ workerId, address, state }));
  }

  #tell(): void {
    for (const tell of [...this.#tellers]) tell();
  }

  #reportMismatch(key: string, { address, bundleName }: WorkerAnnouncement): void {
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#options.log.warn(
      { address, bundle: bundleName },
      'an announced worker holds a bundle that is not served here and is left alone',
    );
  }
}
