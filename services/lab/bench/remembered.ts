import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Finds what `key` stands for, or reads what was found before: a long sweep that was stopped goes on where it was. A finding with a figure
 * that is not finite is not remembered: JSON has only null for it, which is below every bound. Nor is one read that holds a null.
 */
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
  if (earlier !== undefined) {
    let whole = true;
    const found = JSON.parse(earlier, (_, value) => {
      whole &&= value !== null;
      return value;
    });
    if (whole) return found as Found;
  }
  const found = await find();
  let finite = true;
  const text = JSON.stringify(found, (_, value) => {
    finite &&= typeof value !== 'number' || Number.isFinite(value);
    return value;
  });
  if (!finite) return found;
  await mkdir(dirname(path), { recursive: true });
  // Whole or not at all, also for another sweep beside this one.
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
  return found;
}
