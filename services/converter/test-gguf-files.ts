import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ErrorCode } from '@rondo/core';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';

/** A directory for a test's GGUF files, one of which is written anew each time. */
export class GgufFiles {
  readonly root: string;
  readonly #file: string;

  private constructor(root: string) {
    this.root = root;
    this.#file = join(root, 'tiny.gguf');
  }

  static async make(): Promise<GgufFiles> {
    return new GgufFiles(await mkdtemp(join(tmpdir(), 'rondo-gguf-')));
  }

  async opened(bytes: Uint8Array): Promise<Checkpoint> {
    await writeFile(this.#file, bytes);
    return openCheckpoint(this.#file);
  }

  /** It is refused with `code` and a message that has all of `words`. */
  async refused(bytes: Uint8Array, code: ErrorCode, ...words: string[]): Promise<void> {
    await assert.rejects(this.opened(bytes), (error: Error & { code: string }) => {
      assert.equal(error.code, code, error.message);
      for (const word of words) assert.ok(error.message.includes(word), `${word} in ${error.message}`);
      return true;
    });
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }
}
