import { createHash } from 'node:crypto';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { converterDigest } from './bench-bundle.ts';

/**
 * Makes what is to lie at `path` unless it lies there as the same maker left it: `<path>.made-by` tells. Another maker may write
 * another file, and a rival is not to run on what an older one wrote.
 * @param maker the digest of whatever makes it
 */
export async function madeBy(path: string, maker: string, make: () => Promise<void>): Promise<void> {
  const stamp = `${path}.made-by`;
  const lies = await stat(path).then(
    () => true,
    () => false,
  );
  if (lies && (await readFile(stamp, 'utf8').catch(() => '')) === maker) return;
  await rm(stamp, { force: true });
  await make();
  await writeFile(stamp, maker);
}

/** sha256 of what writes a file for a rival: the source at `path`, and the converter, which reads the checkpoint for it. */
export async function makerDigest(path: string): Promise<string> {
  const hash = createHash('sha256').update(await readFile(path));
  return hash.update(await converterDigest()).digest('hex');
}
