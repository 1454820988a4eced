import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '@rondo/core';

/** The one file that stands for all graphs: a timed engine opens none. */
const FILE = { path: 'nothing.bin', text: 'A timed engine computes nothing.\n' };

export interface TimedShape {
  readonly name: string;
  readonly hidden: number;
  readonly maxDepth: number;
  readonly context: number;
  /** None by default. With one, the states of all rows come home after their last pass. */
  readonly codaLayers?: 0 | 1;
}

/** Writes a bundle that only timed engines can serve: the shapes are those of a model, of K and V there are few bytes. */
export async function timedBundle(cache: string, shape: TimedShape): Promise<string> {
  const { name, hidden, maxDepth, context, codaLayers = 0 } = shape;
  const directory = join(cache, 'bundles', name);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, FILE.path), FILE.text);
  const { path } = FILE;
  const sha256 = createHash('sha256').update(FILE.text).digest('hex');
  const manifest = {
    schemaVersion: 2,
    name,
    source: { checkpoint: 'none', architecture: 'timed', licence: 'none' },
    shape: { hidden, heads: 1, kvHeads: 1, headDim: 2, vocab: 50_000, context },
    layers: { prelude: 0, block: 1, coda: codaLayers },
    maxDepth,
    loop: { first: 0, last: 0, damping: 1 },
    exit: { policy: 'none', threshold: 0, minDepth: 1, signals: [] },
    kvPolicy: 'propagate',
    precision: 'f32',
    pagePositions: LIMITS.pagePositions,
    headCandidates: LIMITS.headCandidates,
    tokens: { eos: [] },
    graphs: {
      prelude: path,
      block: path,
      head: path,
      propagate: path,
      ...(codaLayers > 0 && { coda: path }),
    },
    segments: { prelude: [], block: [path, path], coda: codaLayers > 0 ? [path, path] : [] },
    rope: { inverseFrequencies: [1], attentionFactor: 1 },
    files: [{ path, bytes: FILE.text.length, sha256 }],
  };
  await writeFile(join(directory, 'bundle.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return directory;
}
