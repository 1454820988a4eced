import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXPORTED_MANIFEST_FILE, type ExportedManifest, parseExportedManifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { type AdapterTarget, type Factors, targetShape } from './adapters-weights.ts';
import type { Architecture } from './architecture.ts';
import type { DepthVectors } from './depth-vectors.ts';
import { range } from './loop-plan.ts';
import type { ModelSpec, TensorName } from './model-spec.ts';
import {
  ADAPTER_CONFIG_FILE,
  ADAPTER_FILE,
  AdapterScaling,
  depthDirectory,
  loraNames,
  moduleName,
  VECTORS_FILE,
} from './peft-adapter.ts';
import { readSafetensors } from './safetensors.ts';
import { storedName } from './source.ts';
import type { StoredTensor, TensorFile } from './tensor-file.ts';

/** What an exported directory holds beside a checkpoint: how its layers are looped, and what depths have of their own. */
export interface ExportedLoop {
  readonly manifest: ExportedManifest;
  readonly vectors?: DepthVectors;
  readonly factorsOf?: (layer: number, depth: number, target: AdapterTarget) => Promise<Factors>;
  readonly files: readonly TensorFile[];
}

type Tensors = ReadonlyMap<string, StoredTensor>;
type Naming = Pick<Architecture, 'safetensors' | 'normOffset'>;

/**
 * Reads rondo.json and the depths' files of a directory that `rondo export` wrote.
 * @throws RondoError CHECKPOINT_* naming the file, what was expected and what was found.
 */
export async function openExportedLoop(
  directory: string,
  model: ModelSpec,
  naming: Naming,
): Promise<ExportedLoop> {
  const path = join(directory, EXPORTED_MANIFEST_FILE);
  const manifest = parseExportedManifest(path, await readFile(path, 'utf8'));
  const { layers, maxDepth, adapters, tied } = manifest;
  const written = layers.prelude + layers.block + layers.coda;
  if (written !== model.layers) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${path}: layers: expected ${model.layers} in all, as config.json says, found ${written}`,
    );
  }
  const files: TensorFile[] = [];
  const open = async (name: string): Promise<Tensors[]> => {
    const ofDepths: Tensors[] = [];
    for (let depth = 0; depth < maxDepth; depth++) {
      const tensors = await readSafetensors(join(directory, depthDirectory(depth), name));
      files.push(...new Set([...tensors.values()].map(({ file }) => file)));
      ofDepths.push(tensors);
    }
    return ofDepths;
  };
  try {
    const vectors = tied?.norms === 'per-depth' && depthVectors(await open(VECTORS_FILE), manifest, naming);
    const factorsOf = adapters && (await readFactors(directory, await open(ADAPTER_FILE), model, naming));
    return { manifest, files, ...(vectors && { vectors }), ...(factorsOf && { factorsOf }) };
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

function depthVectors(
  tensors: readonly Tensors[],
  { layers }: ExportedManifest,
  { safetensors, normOffset }: Naming,
): DepthVectors {
  return {
    depths: tensors.length,
    layers: new Set(range(layers.prelude, layers.prelude + layers.block)),
    async read(name: TensorName, depth: number) {
      const data = await readTensor(tensors[depth]!, storedName(safetensors, name)!);
      return normOffset && /norm$/i.test(name) ? data.map((weight) => weight + normOffset) : data;
    },
  };
}

async function readFactors(
  directory: string,
  tensors: readonly Tensors[],
  model: ModelSpec,
  { safetensors }: Naming,
): Promise<NonNullable<ExportedLoop['factorsOf']>> {
  const scalings: AdapterScaling[] = [];
  for (const depth of tensors.keys()) {
    const path = join(directory, depthDirectory(depth), ADAPTER_CONFIG_FILE);
    scalings.push(new AdapterScaling(path, await readFile(path, 'utf8')));
  }
  return async (layer, depth, target) => {
    const module = moduleName(safetensors, layer, target);
    const stored = loraNames(module);
    const a = await readTensor(tensors[depth]!, stored.a);
    const b = await readTensor(tensors[depth]!, stored.b);
    const scaling = scalings[depth]!.of(module, a.length / targetShape(model, target)[1]);
    return { a, b: scaling === 1 ? b : b.map((value) => value * scaling) };
  };
}

async function readTensor(tensors: Tensors, name: string): Promise<Float32Array> {
  const tensor = tensors.get(name);
  if (tensor) return tensor.file.read(tensor);
  const file = tensors.values().next().value?.file.path ?? 'an adapter without tensors';
  throw new RondoError('CHECKPOINT_INVALID', `${file}: tensor ${name} is missing among ${tensors.size}`);
}
