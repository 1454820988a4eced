import { open } from 'node:fs/promises';
import { LIMITS, RondoError } from '@rondo/core';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface WatchOptions<T> {
  /** What the files are for, in logs and metrics: `api-keys`. */
  readonly what: string;
  readonly paths: readonly string[];
  /**
   * Turns the files' texts, in the order of `paths`, into the value.
   * @throws RondoError naming file and fault; never a content that is secret
   */
  readonly compile: (texts: readonly string[]) => T;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called at every look, also when nothing has changed: for what only time changes. */
  readonly looked?: ((value: T) => void) | undefined;
  /** How often to look; 0 leaves that to the caller of `check`. */
  readonly everyMs?: number;
}

/**
 * The value of some small files, kept up to date while they change. Files are compared by content and reached by path
 * each time, so that a rename, a symlink that turns (a mounted ConfigMap or Secret) and a rewrite in place all count.
 * What does not compile is refused as a whole: the value before it stays.
 */
export class WatchedFiles<T> {
  readonly #options: WatchOptions<T>;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #faulty: (fault: string | undefined) => void;
  readonly #changes: (outcome: 'taken' | 'refused') => void;
  #timer: NodeJS.Timeout | undefined;
  /** The texts of the current value. */
  #taken: string;
  #current: T;
  #fault: string | undefined;
  #checking: Promise<void> | undefined;

  private constructor(options: WatchOptions<T>, texts: readonly string[]) {
    const { what, metrics, compile, looked, everyMs = LIMITS.watchedFileMs } = options;
    this.#options = options;
    this.#taken = JSON.stringify(texts);
    this.#current = compile(texts);
    const faults = metrics.gauge('rondo_watched_file_fault', '1 while a changed file is refused', ['what']);
    const changes = metrics.counter('rondo_watched_file_changes_total', 'Changes of watched files', [
      'what',
      'outcome',
    ]);
    this.#changes = (outcome) => changes.inc({ what, outcome });
    this.#faulty = (fault) => {
      this.#fault = fault;
      faults.set({ what }, fault === undefined ? 0 : 1);
    };
    this.#faulty(undefined);
    looked?.(this.#current);
    if (everyMs > 0) this.#timer = setInterval(() => void this.check(), everyMs).unref();
  }

  /** @throws RondoError CONFIG_INVALID for a file that cannot be read, and whatever `compile` throws. */
  static async open<T>(options: WatchOptions<T>): Promise<WatchedFiles<T>> {
    return new WatchedFiles(options, await readAll(options.paths));
  }

  get current(): T {
    return this.#current;
  }

  /** Why the files' present content is not in use. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Calls `listener` after each change that was taken, until the returned function is called. */
  onChange(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the files now. Never rejects. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  async #check(): Promise<void> {
    const { paths, compile, looked } = this.#options;
    try {
      const texts = await readAll(paths);
      const seen = JSON.stringify(texts);
      if (seen !== this.#taken) this.#take(seen, compile(texts));
      this.#faulty(undefined);
    } catch (thrown) {
      this.#refuse(RondoError.from(thrown).message);
    }
    looked?.(this.#current);
  }

  #take(seen: string, value: T): void {
    const { what, log, paths } = this.#options;
    this.#taken = seen;
    this.#current = value;
    this.#changes('taken');
    log.info({ what, paths }, 'a changed file is in use');
    for (const listener of this.#listeners) listener(value);
  }

  /** Once for each fault, however often it is seen. */
  #refuse(fault: string): void {
    if (fault === this.#fault) return;
    const { what, log } = this.#options;
    this.#changes('refused');
    this.#faulty(fault);
    log.error({ what, fault }, 'a changed file is refused; what was read before stays in use');
  }
}

const readAll = (paths: readonly string[]): Promise<string[]> => Promise.all(paths.map(readSmall));

async function readSmall(path: string): Promise<string> {
  const max = LIMITS.watchedFileBytes;
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(max + 1), 0, max + 1, 0);
    if (bytesRead > max) throw new RondoError('CONFIG_INVALID', `${path}: larger than ${max} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, bytesRead));
  } catch (thrown) {
    if (thrown instanceof RondoError) throw thrown;
    const { code, message } = thrown as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT'
        ? 'no such file'
        : code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
          ? 'not text'
          : message;
    throw new RondoError('CONFIG_INVALID', `${path}: ${reason}`, { cause: thrown });
  }
}
