import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';

const CHECKPOINT = new URL('./fixtures/tiny/llama-gqa/checkpoint', import.meta.url).pathname;

/** A bundle of the tiny checkpoint with a tokenizer, looped: one layer, two layers × `loops`, one layer, unless told otherwise of its four. */
export class TinyBundle implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(
    loops: number,
    kvPolicy?: Manifest['kvPolicy'],
    damping = 1 / loops,
    precision: Manifest['precision'] = 'f32',
    loopLayers = { first: 1, last: 2 },
  ): Promise<TinyBundle> {
    const directory = join(await mkdtemp(join(tmpdir(), 'rondo-tiny-')), 'bundle');
    const checkpoint = await openCheckpoint(CHECKPOINT);
    await convert({
      checkpoint,
      out: directory,
      precision,
      loopLayers,
      loops,
      damping,
      name: 'tiny',
      ...(kvPolicy && { kvPolicy }),
    });
    await checkpoint.close();
    return new TinyBundle(directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.directory, '..'), { recursive: true });
  }
}
