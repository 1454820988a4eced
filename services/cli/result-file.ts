import { rmSync } from 'node:fs';
import { open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { RondoError } from '@rondo/core';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * A file that long work ends in: refused before the work when it cannot be written, and there only when it is whole. An
 * older one stays until then, and a run that fails or is interrupted leaves it alone.
 */
export class ResultFile implements AsyncDisposable {
  readonly #path: string;
  /** Beside the file; undefined for what is no plain file, such as /dev/stdout, and is written to directly. */
  #partial: string | undefined;

  readonly #interrupted = (signal: NodeJS.Signals): void => {
    if (this.#partial !== undefined) rmSync(this.#partial, { force: true });
    this.#listenNoMore();
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  private constructor(path: string, partial: string | undefined) {
    this.#path = path;
    this.#partial = partial;
    // Before whoever else listens, who may listen once: without any, the process ends here, as it would have.
    for (const signal of SIGNALS) process.prependListener(signal, this.#interrupted);
  }

  #listenNoMore(): void {
    for (const signal of SIGNALS) process.off(signal, this.#interrupted);
  }

  /** @throws RondoError CONFIG_INVALID for a place that cannot be written. */
  static async open(given: string): Promise<ResultFile> {
    try {
      // What a link points to is replaced, not the link.
      const path = await realpath(given).catch(() => given);
      const older = await stat(path).catch(() => undefined);
      const replaced = older === undefined || older.isFile();
      const partial = replaced ? `${path}.partial-${process.pid}` : undefined;
      // An older file is touched too: one that may not be written is not replaced behind its owner's back. Who reads
      // a pipe would take that for its end.
      if (older && !older.isFIFO()) await (await open(path, 'a')).close();
      if (partial !== undefined) await (await open(partial, 'w')).close();
      return new ResultFile(path, partial);
    } catch (cause) {
      throw unwritable(given, cause);
    }
  }

  /** The same of an option that may be absent. */
  static async asked(given: string | undefined): Promise<ResultFile | undefined> {
    return given === undefined ? undefined : ResultFile.open(given);
  }

  /** Refuses a place that cannot be written, long before there is anything to write, and leaves nothing there meanwhile. */
  static async check(given: string | undefined): Promise<void> {
    await (await ResultFile.asked(given))?.[Symbol.asyncDispose]();
  }

  /**
   * @throws RondoError CONFIG_INVALID when it can no longer be written, as on a disk that is full by now; and what `content`
   * throws, if that is one
   */
  async write(content: string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const partial = this.#partial;
    try {
      const file = await open(partial ?? this.#path, 'w');
      try {
        await writeFile(file, content);
      } finally {
        await file.close();
      }
      if (partial !== undefined) await rename(partial, this.#path);
      this.#partial = undefined;
    } catch (cause) {
      if (cause instanceof RondoError) throw cause;
      throw unwritable(this.#path, cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listenNoMore();
    if (this.#partial !== undefined) await rm(this.#partial, { force: true });
  }
}

const unwritable = (path: string, cause: unknown): RondoError =>
  new RondoError('CONFIG_INVALID', `${path}: cannot be written: ${(cause as Error).message}`, { cause });
