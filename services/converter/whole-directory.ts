import { rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { RondoError } from '@rondo/core';
import { makeDirectory } from './make-directory.ts';
import { diskError } from './weights-file.ts';

/** What a directory of ours is known by. */
export interface DirectoryKind {
  readonly marker: string;
  /** For messages, with its article. */
  readonly name: string;
}

/**
 * Lets `write` fill a directory that appears under `out` only when it is whole. One of the same kind there is replaced.
 * @throws RondoError CONFIG_INVALID when something else is there or the disk is full; what `write` throws, with nothing left.
 */
export async function writeWhole<T>(
  out: string,
  kind: DirectoryKind,
  write: (directory: string) => Promise<T>,
): Promise<T> {
  const path = resolve(out);
  await refuseForeign(path, kind);
  const partial = `${path}.partial-${process.pid}`;
  await onDisk(partial, rm(partial, { recursive: true, force: true }));
  try {
    await onDisk(partial, makeDirectory(partial));
    const result = await write(partial);
    await replace(partial, path);
    return result;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/** Puts the new one in the place of an older one, which is whole there until the new one is. */
async function replace(partial: string, out: string): Promise<void> {
  const older = `${out}.older-${process.pid}`;
  const moved = await rename(out, older).then(
    () => true,
    () => false,
  );
  try {
    await onDisk(out, rename(partial, out));
  } catch (error) {
    if (moved) await rename(older, out);
    throw error;
  }
  await rm(older, { recursive: true, force: true });
}

export const onDisk = (path: string, work: Promise<unknown>): Promise<unknown> =>
  work.catch((cause: unknown) => {
    throw diskError(path, 0, cause);
  });

async function refuseForeign(out: string, { marker, name }: DirectoryKind): Promise<void> {
  if (!(await exists(out)) || (await exists(join(out, marker)))) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `${out}: exists and is not ${name}; remove it or choose another --out`,
  );
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
