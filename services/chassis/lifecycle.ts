import { LIMITS } from '@rondo/core';
import type { Logger } from 'pino';
import { endAtOnce } from './end-at-once.ts';

interface Closer {
  readonly name: string;
  readonly close: () => unknown;
}

/** What was started, to be stopped in reverse order: whoever depends on a part stops before it. */
export class Lifecycle {
  readonly #log: Logger;
  readonly #closers: Closer[] = [];
  readonly #inNative: (() => boolean)[] = [];
  #stopped: Promise<boolean> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Call right after `name` has started. What starts while all else stops is stopped too. */
  onStop(name: string, close: () => unknown): void {
    this.#closers.push({ name, close });
    if (this.#stopped === undefined) return;
    this.#stopped = this.#stopped.then(async (clean) => (await this.#stopAll()) && clean);
  }

  /**
   * `asked` tells whether a thread of this process is in native code. `process.exit` would wait until it comes back, which it may never do:
   * such a process is killed instead of leaving early.
   */
  mayBeInNative(asked: () => boolean): void {
    this.#inNative.push(asked);
  }

  /** Closes everything once, the newest first. False when a part failed: it is logged, and the others close all the same. */
  stop(): Promise<boolean> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  /**
   * From now on SIGINT and SIGTERM stop everything and end the process: with 0, or 1 when a part failed to stop or took
   * longer than `drainMs`, what its parts may take to end their work, and `LIMITS.stopMs`. A second signal ends it at once with 1. An error
   * that nobody caught is logged and ends it with 1: what it left behind is unknown. Where a thread is in native code then, the
   * process is killed.
   */
  ownProcess(drainMs: number = LIMITS.drainMs): void {
    const stopMsMax = drainMs + LIMITS.stopMs;
    const leave = (signal: NodeJS.Signals): void => {
      if (this.#stopped !== undefined) {
        this.#log.warn({ signal }, 'stopped by a second signal');
        this.#leave();
      }
      this.#log.info({ signal }, 'stopping');
      setTimeout(() => {
        this.#log.error({ stopMsMax }, 'stopping took too long');
        this.#leave();
      }, stopMsMax).unref();
      void this.stop().then((clean) => process.exit(clean ? 0 : 1));
    };
    process.on('SIGINT', leave);
    process.on('SIGTERM', leave);
    const crash = (error: unknown): void => {
      this.#log.fatal({ err: error }, 'uncaught error');
      this.#leave();
    };
    process.on('uncaughtException', crash);
    process.on('unhandledRejection', crash);
  }

  /** Before everything has stopped. */
  #leave(): never {
    if (this.#inNative.some((asked) => asked())) endAtOnce();
    process.exit(1);
  }

  async #stopAll(): Promise<boolean> {
    let clean = true;
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      clean = (await this.#close(closer)) && clean;
    }
    return clean;
  }

  async #close({ name, close }: Closer): Promise<boolean> {
    try {
      await close();
      this.#log.debug({ part: name }, 'stopped');
      return true;
    } catch (error) {
      this.#log.error({ part: name, err: error }, 'failed to stop');
      return false;
    }
  }
}
