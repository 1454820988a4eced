import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { MANIFEST_FILE, openBundle } from './bundle.ts';
import type { Manifest } from './manifest.ts';
import { writeTestBundle } from './test-bundle.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-bundle-'));
});
afterEach(() => rm(directory, { recursive: true }));

const writeBundle = (change?: (manifest: Manifest) => unknown) => writeTestBundle(directory, change);

const refused = (pattern: RegExp) =>
  assert.rejects(openBundle(directory), { code: 'BUNDLE_INVALID', message: pattern });

test('a whole bundle opens, and its digest names exactly this content', async () => {
  await writeBundle();
  const first = await openBundle(directory);
  assert.equal(first.manifest.maxDepth, 2);
  await writeBundle((manifest) => Object.assign(manifest, { name: 'other' }));
  assert.notEqual((await openBundle(directory)).digest, first.digest);
});

test('a directory without a manifest says how to make one', () => refused(/rondo convert/));

test('a changed, a truncated and a missing file are each named', async () => {
  await writeBundle();
  await writeFile(join(directory, 'block.onnx'), 'Content of block.onnx');
  await refused(/block\.onnx: expected sha256/);
  await writeFile(join(directory, 'block.onnx'), 'content of');
  await refused(/block\.onnx: expected 21 bytes, found 10/);
  await rm(join(directory, 'block.onnx'));
  await refused(/block\.onnx: listed in bundle\.json but missing/);
});

test('a manifest with an unknown field, a wrong type or contradicting shapes is refused', async () => {
  await writeBundle((manifest) => Object.assign(manifest, { maxDeth: 3 }));
  await refused(/maxDeth/);
  await writeBundle((manifest) => Object.assign(manifest, { maxDepth: 0 }));
  await refused(/maxDepth/);
  await writeBundle((manifest) => Object.assign(manifest.layers, { coda: 1 }));
  await refused(/1 coda layers/);
  await writeBundle((manifest) => Object.assign(manifest.graphs, { head: 'other.onnx' }));
  await refused(/other\.onnx/);
  await writeFile(join(directory, MANIFEST_FILE), '{');
  await refused(/not JSON/);
});

/** Where a layer's weights begin, if all of them began at `at`. */
const layerAt = (at: number) => {
  const matrix = { data: at, scales: at };
  return {
    ...{ attentionNorm: at, ffnNorm: at },
    ...{ qkv: matrix, output: matrix, gateUp: matrix, down: matrix },
  };
};

test('what an engine finds by layer, depth and head is there for each of them', async () => {
  const places = { file: 'weights.bin', ffn: 16, normEpsilon: 1e-5, prelude: [], coda: [] };
  const written = (block: object[]) =>
    writeBundle((manifest) => Object.assign(manifest, { layerWeights: { ...places, block } }));
  await written([layerAt(0)]);
  await refused(/layerWeights\.block has places of 1 layers, layers\.block is 2/);
  await writeBundle((manifest) =>
    Object.assign(manifest, {
      layerWeights: { ...places, block: [layerAt(0), layerAt(0)], coda: [layerAt(0)] },
    }),
  );
  await refused(/layerWeights\.coda has places of 1 layers, layers\.coda is 0/);
  const integers = { data: 0, scales: 0, outputs: 8 };
  const adapted = (...ranks: number[]) => {
    const part = { firstOutput: 0, outputs: 8, ranks, b: integers, firstInput: 0, firstColumn: 0 };
    return [layerAt(0), { ...layerAt(0), factors: { down: { a: integers, parts: [part] } } }];
  };
  await written(adapted(4));
  await refused(/layerWeights\.block\.1\.factors\.down has ranks of 1 depths, maxDepth is 2/);
  await written(adapted(4, 2));
  await openBundle(directory);
  await writeBundle((manifest) => Object.assign(manifest.shape, { heads: 3, kvHeads: 2 }));
  await refused(/shape\.heads 3 is no multiple of shape\.kvHeads 2/);
});

test('every file that a manifest names is listed, and so verified', async () => {
  const file = '../other/weights.bin';
  const layers = { ffn: 16, normEpsilon: 1e-5, prelude: [], block: [layerAt(0), layerAt(0)], coda: [] };
  for (const [part, rest] of [
    ['embedding', { offset: 0, scale: 1 }],
    ['layerWeights', layers],
    ['headWeights', { normEpsilon: 1e-5, data: 0, scales: 0 }],
  ] as const) {
    await writeBundle((manifest) => Object.assign(manifest, { [part]: { file, ...rest } }));
    await refused(/names \.\.\/other\/weights\.bin but does not list it under files/);
    await writeBundle((manifest) => Object.assign(manifest, { [part]: { file: 'weights.bin', ...rest } }));
    await openBundle(directory);
  }
});

test('a bundle with adapters has no graphs that cannot run them', async () => {
  const adapters = { rank: 4, targets: ['q'], method: 'grouped' };
  // As older versions wrote it; today the block has a graph of its own, too.
  const segmentsOnly = { block: undefined, propagate: undefined };
  await writeBundle((manifest) => Object.assign(manifest, { adapters }));
  await refused(/graphs\.propagate must be absent with adapters or norms per depth/);
  await writeBundle((manifest) => Object.assign(manifest.graphs, segmentsOnly));
  await refused(/must be there without adapters or norms per depth/);
  const adapted = (manifest: Manifest) => Object.assign(manifest.graphs, segmentsOnly) && { adapters };
  await writeBundle((manifest) => Object.assign(manifest, adapted(manifest), { kvPolicy: 'propagate' }));
  await refused(/kvPolicy propagate/);
  await writeBundle((manifest) => Object.assign(manifest, adapted(manifest)));
  assert.deepEqual((await openBundle(directory)).manifest.adapters, adapters);
  await writeBundle(
    (manifest) =>
      Object.assign(manifest.graphs, { propagate: undefined }) && Object.assign(manifest, { adapters }),
  );
  assert.equal((await openBundle(directory)).manifest.graphs.block, 'block.onnx');
});

test('so has a bundle whose depths have norms of their own', async () => {
  const tied = { init: 'average', initNorms: 'average', norms: 'per-depth' };
  await writeBundle((manifest) => Object.assign(manifest, { tied }));
  await refused(/must be absent with adapters or norms per depth/);
  await writeBundle((manifest) => Object.assign(manifest, { tied: { ...tied, norms: 'shared' } }));
  assert.equal((await openBundle(directory)).manifest.tied?.norms, 'shared');
});

test('a bundle of more passes than any part keeps room for is refused', async () => {
  await writeBundle((manifest) => Object.assign(manifest, { maxDepth: 257 }));
  await refused(/bundle\.json: maxDepth: .*256/);
  await writeBundle((manifest) => Object.assign(manifest, { maxDepth: 256 }));
  assert.equal((await openBundle(directory)).manifest.maxDepth, 256);
});
