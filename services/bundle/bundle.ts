import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RondoError } from '@rondo/core';
import { type Manifest, manifestSchema, STACKS, variesByDepth } from './manifest.ts';

export const MANIFEST_FILE = 'bundle.json';

/** A verified bundle: the directory, its manifest, and the digest that names it on the wire. */
export interface Bundle {
  readonly directory: string;
  readonly manifest: Manifest;
  /** sha256 of bundle.json, which itself holds the digest of every other file. */
  readonly digest: string;
}

export const bundlePath = (bundle: Bundle, file: string): string => join(bundle.directory, file);

/** What of a bundle somebody needs: who turns text into ids and back needs neither graphs nor weights. */
export type BundlePart = 'whole' | 'text';

/** The manifest's files that belong to `part`. */
export const filesOf = <File extends { readonly path: string }>(
  { files, tokenizer }: { readonly files: readonly File[]; readonly tokenizer?: Manifest['tokenizer'] },
  part: BundlePart,
): readonly File[] => {
  if (part === 'whole') return files;
  const text = new Set(Object.values(tokenizer ?? {}));
  return files.filter(({ path }) => text.has(path));
};

/**
 * Opens a bundle directory and verifies it: schema, cross-field shapes, size and sha256 of every file of the part that is asked for;
 * others need not be there.
 * @throws RondoError BUNDLE_INVALID naming the file, what was expected and what was found.
 */
export async function openBundle(directory: string, part: BundlePart = 'whole'): Promise<Bundle> {
  const path = join(directory, MANIFEST_FILE);
  const text = await readFile(path).catch((cause: unknown) => {
    throw new RondoError('BUNDLE_INVALID', `${path}: no bundle here; make one with 'rondo convert'`, {
      cause,
    });
  });
  const manifest = parseManifest(path, text.toString('utf8'));
  await Promise.all(filesOf(manifest, part).map((file) => verifyFile(directory, file)));
  return { directory, manifest, digest: createHash('sha256').update(text).digest('hex') };
}

/**
 * What bundle.json says, held to the schema and across its fields; no file is looked at.
 * @throws RondoError BUNDLE_INVALID naming `path`, what was expected and what was found.
 */
export function parseManifest(path: string, text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new RondoError('BUNDLE_INVALID', `${path}: not JSON`, { cause });
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new RondoError('BUNDLE_INVALID', `${path}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const manifest = parsed.data;
  const listed = new Set(manifest.files.map((file) => file.path));
  const named = [
    ...Object.values(manifest.graphs),
    ...Object.values(manifest.deviceGraphs ?? {}),
    ...Object.values(manifest.segments).flat(),
    ...Object.values(manifest.deviceSegments ?? {}).flat(),
    ...Object.values(manifest.tokenizer ?? {}),
    manifest.model,
    manifest.embedding?.file,
    manifest.layerWeights?.file,
    manifest.headWeights?.file,
  ].filter((name) => name !== undefined);
  const missing = named.find((name) => !listed.has(name));
  if (missing !== undefined) {
    throw new RondoError('BUNDLE_INVALID', `${path}: names ${missing} but does not list it under files`);
  }
  if (manifest.layers.coda > 0 !== (manifest.graphs.coda !== undefined)) {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: ${manifest.layers.coda} coda layers and graphs.coda disagree`,
    );
  }
  const { block, propagate } = manifest.graphs;
  const varies = variesByDepth(manifest);
  if ((propagate === undefined) !== varies || (block === undefined && !varies)) {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: ${varies ? 'graphs.propagate must be absent with' : 'graphs.block and graphs.propagate must be there without'} adapters or norms per depth`,
    );
  }
  if (varies && manifest.kvPolicy === 'propagate') {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: kvPolicy propagate cannot be kept with adapters or norms per depth; convert with last-exited or catch-up`,
    );
  }
  for (const key of ['segments', 'deviceSegments'] as const) {
    for (const stack of STACKS) {
      const names = manifest[key]?.[stack];
      const count = manifest.layers[stack];
      const expected = count === 0 ? 0 : count + 1;
      if (names && names.length !== expected) {
        throw new RondoError(
          'BUNDLE_INVALID',
          `${path}: ${key}.${stack} lists ${names.length} files, ${count} layers take ${expected}`,
        );
      }
    }
  }
  requireLayerWeights(path, manifest);
  const { heads, kvHeads } = manifest.shape;
  if (heads % kvHeads !== 0) {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: shape.heads ${heads} is no multiple of shape.kvHeads ${kvHeads}, which they share`,
    );
  }
  if (manifest.rope.inverseFrequencies.length !== manifest.shape.headDim / 2) {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: rope.inverseFrequencies has ${manifest.rope.inverseFrequencies.length} values, half of headDim ${manifest.shape.headDim} expected`,
    );
  }
  if (manifest.exit.minDepth > manifest.maxDepth) {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: exit.minDepth ${manifest.exit.minDepth} exceeds maxDepth ${manifest.maxDepth}`,
    );
  }
  return manifest;
}

/** What an engine finds by index: a place for each layer, and a rank for each depth of its factors. */
function requireLayerWeights(path: string, { layerWeights, layers, maxDepth }: Manifest): void {
  if (layerWeights === undefined) return;
  for (const stack of STACKS) {
    const places = layerWeights[stack];
    if (places.length !== layers[stack]) {
      throw new RondoError(
        'BUNDLE_INVALID',
        `${path}: layerWeights.${stack} has places of ${places.length} layers, layers.${stack} is ${layers[stack]}`,
      );
    }
    for (const [layer, { factors = {} }] of places.entries()) {
      for (const [linear, place] of Object.entries(factors)) {
        const wrong = place?.parts.find(({ ranks }) => ranks.length !== maxDepth);
        if (wrong === undefined) continue;
        throw new RondoError(
          'BUNDLE_INVALID',
          `${path}: layerWeights.${stack}.${layer}.factors.${linear} has ranks of ${wrong.ranks.length} depths, maxDepth is ${maxDepth}`,
        );
      }
    }
  }
}

async function verifyFile(directory: string, file: Manifest['files'][number]): Promise<void> {
  const path = join(directory, file.path);
  const found = await stat(path).catch((cause: unknown) => {
    throw new RondoError('BUNDLE_INVALID', `${path}: listed in ${MANIFEST_FILE} but missing`, { cause });
  });
  if (found.size !== file.bytes) {
    throw new RondoError('BUNDLE_INVALID', `${path}: expected ${file.bytes} bytes, found ${found.size}`);
  }
  const sha256 = await digestFile(path);
  if (sha256 !== file.sha256) {
    throw new RondoError('BUNDLE_INVALID', `${path}: expected sha256 ${file.sha256}, found ${sha256}`);
  }
}

/** Of a file at a time: all files of a bundle are read side by side. */
const DIGEST_PART_BYTES = 256 * 1024;

/** sha256 of a file in hex. One buffer sees all of it: a stream's would lie in a server's memory until they are collected. */
export async function digestFile(path: string): Promise<string> {
  await using file = await open(path);
  const { size } = await file.stat();
  const part = new Uint8Array(Math.min(Math.max(size, 1), DIGEST_PART_BYTES));
  const hash = createHash('sha256');
  for (;;) {
    const { bytesRead } = await file.read(part);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(part.subarray(0, bytesRead));
  }
}
