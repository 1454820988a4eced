import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Finds what `key` stands for, or reads what was found before: a long sweep that was stopped goes on where it was. */
export async function remembered<Found>(
  /** Where findings lie. */
  directory: string,
  /** All that the finding depends on. */
  key: readonly unknown[],
  find: () => Promise<Found>,
): Promise<Found> {
  const digest = createHash('sha256').update(JSON.stringify(key)).digest('hex');
  const path = join(directory, `${digest}.json`);
  const earlier = await readFile(path, 'utf8').catch(() => undefined);
  if (earlier !== undefined) return JSON.parse(earlier) as Found;
  const found = await find();
  await mkdir(dirname(path), { recursive: true });
  // Whole or not at all, also for another sweep beside this one.
  await writeFile(`${path}.${process.pid}`, JSON.stringify(found));
  await rename(`${path}.${process.pid}`, path);
  return found;
}
