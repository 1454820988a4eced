import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '@rondo/chassis';
import { type Clock, LIMITS, RondoError, systemClock } from '@rondo/core';
import type { WorkerAnnouncement } from '@rondo/wire';

/** Where announcements hang; `AnnouncementBoard` is one. */
export interface Board {
  announce(announcement: WorkerAnnouncement): Promise<void>;
  withdraw(workerId: string): Promise<void>;
}

/**
 * Keeps one worker announced: renewed three times in the life of an announcement, at most once a second when the load
 * changes, at once when the state does. It runs on the thread that serves, which never computes a pass. That an
 * announcement was not heard, or has expired, changes nothing for the worker: it serves whoever finds it.
 */
export class Announcer {
  readonly #board: Board;
  readonly #look: () => WorkerAnnouncement;
  readonly #log: Logger;
  readonly #clock: Clock;
  #timer: NodeJS.Timeout | undefined;
  #last: WorkerAnnouncement | undefined;
  #lastAtMs = 0;
  #draining = false;
  #heard = true;
  /** One at a time, so that the newest is the last to arrive. */
  #sending: Promise<void> = Promise.resolve();

  /** `look` describes the worker as it is when an announcement is due. */
  constructor(board: Board, look: () => WorkerAnnouncement, log: Logger, clock: Clock = systemClock) {
    this.#board = board;
    this.#look = look;
    this.#log = log;
    this.#clock = clock;
  }

  /** Looks once a second from now on. */
  start(): void {
    this.#timer = setInterval(() => void this.glance(), LIMITS.announcementEveryMs);
    this.#timer.unref();
  }

  /** Announces when something has changed or a renewal is due. Resolves once that is heard, or was not. */
  glance(): Promise<void> {
    const due = this.#clock.now() - this.#lastAtMs >= LIMITS.announcementMs / 3;
    return due || !isDeepStrictEqual(this.#now(), this.#last) ? this.announce() : this.#sending;
  }

  /** Announces now, as after every connect. */
  announce(): Promise<void> {
    this.#sending = this.#sending.then(() => this.#send());
    return this.#sending;
  }

  /** Tells that the worker takes nothing new from now on. */
  drain(): Promise<void> {
    this.#draining = true;
    return this.announce();
  }

  /** Takes the announcement down for good. */
  async farewell(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sending;
    await this.#board.withdraw(this.#look().workerId).catch((thrown: unknown) => this.#unheard(thrown));
  }

  #now(): WorkerAnnouncement {
    const now = this.#look();
    return this.#draining ? { ...now, state: 'draining' } : now;
  }

  async #send(): Promise<void> {
    const announcement = this.#now();
    this.#last = announcement;
    this.#lastAtMs = this.#clock.now();
    try {
      await this.#board.announce(announcement);
      this.#heard = true;
    } catch (thrown) {
      this.#unheard(thrown);
    }
  }

  #unheard(thrown: unknown): void {
    const { code, message } = RondoError.from(thrown);
    // Said once, not every second.
    if (this.#heard) this.#log.warn({ code }, `this worker's announcement was not heard: ${message}`);
    this.#heard = false;
  }
}
