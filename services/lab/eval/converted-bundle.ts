import { createHash } from 'node:crypto';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Bundle, MANIFEST_FILE, type Manifest, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import { RondoError } from '@rondo/core';

/**
 * Opens a bundle; a checkpoint is converted as it was trained, in f32 unless a `precision` was asked for, into `cache`, unless that was
 * done before with the same files.
 * @throws RondoError BUNDLE_INVALID or CHECKPOINT_* for what is neither; CONFIG_INVALID for a bundle with a `precision`.
 */
export async function bundleOrConverted(
  path: string,
  asked: Manifest['precision'] | undefined,
  cache: string,
  onProgress: (done: number, total: number) => void,
): Promise<Bundle> {
  const isBundle = await stat(join(path, MANIFEST_FILE)).catch(() => undefined);
  if (isBundle && asked !== undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--precision ${asked}: ${path} is a bundle, whose weights stay as they are: name a checkpoint, or leave the option out`,
    );
  }
  if (isBundle) return openBundle(path);
  const precision = asked ?? 'f32';
  const checkpoint = await openCheckpoint(path);
  try {
    const parent = join(cache, 'eval');
    const out = join(parent, `${checkpoint.name}-${precision}-${await fingerprint(checkpoint.path)}`);
    const cached = await openBundle(out).catch(() => undefined);
    if (cached) return cached;
    await mkdir(parent, { recursive: true });
    await convert({ checkpoint, out, precision, onProgress });
    return await openBundle(out);
  } finally {
    await checkpoint.close();
  }
}

/** Changes with the path, the sizes and the times of a checkpoint's files, and with Rondo's own converter never: `make clean` does. */
async function fingerprint(path: string): Promise<string> {
  const whole = resolve(path);
  const hash = createHash('sha256').update(whole);
  const names = (await stat(whole)).isDirectory() ? (await readdir(whole)).sort() : [''];
  for (const name of names) {
    const { size, mtimeMs } = await stat(join(whole, name));
    hash.update(`\n${name} ${size} ${mtimeMs}`);
  }
  return hash.digest('hex').slice(0, 12);
}
