import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '@rondo/chassis';
import { type Clock, LIMITS, RondoError, systemClock } from '@rondo/core';
import type { WorkerAnnouncement } from '@rondo/wire';

/** Where announcements hang; `AnnouncementBoard` is one. */
export interface Board {
  /** Nothing hangs there that came behind `signal`. */
  announce(announcement: WorkerAnnouncement, signal: AbortSignal): Promise<void>;
  withdraw(workerId: string): Promise<void>;
}

/** How long the farewell waits for an announcement that is under way, in milliseconds; it takes the announcement down all the same. */
const FAREWELL_MS = 2_000;

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
  /** The one that waits for its turn. It looks at the worker when it begins, so that no second need wait behind it. */
  #next: Promise<void> | undefined;
  readonly #gone = new AbortController();

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
    return due || !isDeepStrictEqual(this.#now(), this.#last)
      ? this.announce()
      : (this.#next ?? this.#sending);
  }

  /** Announces now, as after every connect. */
  announce(): Promise<void> {
    this.#next ??= this.#sending.then(() => {
      this.#next = undefined;
      if (!this.#gone.signal.aborted) this.#sending = this.#send();
      return this.#sending;
    });
    return this.#next;
  }

  /** Tells that the worker takes nothing new from now on. */
  drain(): Promise<void> {
    this.#draining = true;
    return this.announce();
  }

  /** Takes the announcement down for good, behind those under way unless they are stuck. */
  async farewell(): Promise<void> {
    clearInterval(this.#timer);
    await this.#soon(this.#next ?? this.#sending);
    this.#gone.abort();
    await this.#board.withdraw(this.#look().workerId).catch((thrown: unknown) => this.#unheard(thrown));
  }

  async #soon(sent: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, FAREWELL_MS);
    await Promise.race([sent, late.promise]);
    clearTimeout(timer);
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
      await this.#board.announce(announcement, this.#gone.signal);
      this.#heard = true;
    } catch (thrown) {
      if (!this.#gone.signal.aborted) this.#unheard(thrown);
    }
  }

  #unheard(thrown: unknown): void {
    const { code, message } = RondoError.from(thrown);
    // Said once, not every second.
    if (this.#heard) this.#log.warn({ code }, `this worker's announcement was not heard: ${message}`);
    this.#heard = false;
  }
}
