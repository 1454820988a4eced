import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MANIFEST_FILE } from './bundle.ts';
import type { Manifest } from './manifest.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Writes a bundle of made-up content into `directory`; returns its digest. */
export async function writeTestBundle(
  directory: string,
  change: (manifest: Manifest) => unknown = () => {},
): Promise<string> {
  await mkdir(directory, { recursive: true });
  const segments = ['block.0.onnx', 'block.1.onnx', 'block.2.onnx'];
  const names = ['prelude.onnx', 'block.onnx', 'head.onnx', 'propagate.onnx', ...segments, 'weights.bin'];
  for (const name of names) await writeFile(join(directory, name), `content of ${name}`);
  const manifest: Manifest = {
    schemaVersion: 2,
    name: 'tiny',
    source: { checkpoint: 'tiny', architecture: 'llama', licence: 'none' },
    shape: { hidden: 8, heads: 2, kvHeads: 1, headDim: 4, vocab: 16, context: 64 },
    layers: { prelude: 0, block: 2, coda: 0 },
    maxDepth: 2,
    loop: { first: 0, last: 1, damping: 1 },
    exit: { policy: 'none', threshold: 1, minDepth: 1, signals: ['latent-diff'] },
    kvPolicy: 'last-exited',
    precision: 'f32',
    pagePositions: 16,
    headCandidates: 16,
    tokens: { eos: [0] },
    graphs: {
      prelude: 'prelude.onnx',
      block: 'block.onnx',
      head: 'head.onnx',
      propagate: 'propagate.onnx',
    },
    segments: { prelude: [], block: segments, coda: [] },
    rope: { inverseFrequencies: [1, 0.1], attentionFactor: 1 },
    files: names.map((path) => ({
      path,
      bytes: `content of ${path}`.length,
      sha256: sha256(`content of ${path}`),
    })),
  };
  change(manifest);
  const text = JSON.stringify(manifest);
  await writeFile(join(directory, MANIFEST_FILE), text);
  return sha256(text);
}
