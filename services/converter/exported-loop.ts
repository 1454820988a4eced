import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXPORTED_MANIFEST_FILE, type ExportedManifest, parseExportedManifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { type AdapterTarget, type Factors, targetShape } from './adapters-weights.ts';
import type { Architecture } from './architecture.ts';
import type { DepthVectors } from './depth-vectors.ts';
import { range } from './loop-plan.ts';
import { layerVectorNames, type ModelSpec, type TensorName, tensorShapes } from './model-spec.ts';
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
import {
  elementsOf,
  requireFinite,
  requireShape,
  type StoredTensor,
  type TensorFile,
} from './tensor-file.ts';

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
 * Reads rondo.json and the depths' files of a directory that `rondo export` wrote: all that is to be in them is there and has the
 * right shape, and nothing else is.
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
    const vectors =
      tied?.norms === 'per-depth' && depthVectors(await open(VECTORS_FILE), manifest, model, naming);
    const factorsOf =
      adapters && (await readFactors(directory, await open(ADAPTER_FILE), manifest, model, naming));
    return { manifest, files, ...(vectors && { vectors }), ...(factorsOf && { factorsOf }) };
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

const blockOf = ({ layers }: ExportedManifest): number[] =>
  range(layers.prelude, layers.prelude + layers.block);

function depthVectors(
  tensors: readonly Tensors[],
  manifest: ExportedManifest,
  model: ModelSpec,
  { safetensors, normOffset }: Naming,
): DepthVectors {
  const block = blockOf(manifest);
  const names = new Set(block.flatMap((layer) => layerVectorNames(model, layer)));
  const shapes = [...tensorShapes(model)]
    .filter(([name]) => names.has(name))
    .map(([name, shape]) => [storedName(safetensors, name)!, shape] as const);
  for (const ofDepth of tensors) {
    for (const [name, shape] of shapes) requireShape(find(ofDepth, name), shape);
    refuseOthers(ofDepth, new Set(shapes.map(([name]) => name)), 'the norms and biases of the block');
  }
  return {
    depths: tensors.length,
    layers: new Set(block),
    async read(name: TensorName, depth: number) {
      const data = await readTensor(find(tensors[depth]!, storedName(safetensors, name)!));
      return normOffset && /norm$/i.test(name) ? data.map((weight) => weight + normOffset) : data;
    },
  };
}

async function readFactors(
  directory: string,
  tensors: readonly Tensors[],
  manifest: ExportedManifest,
  model: ModelSpec,
  { safetensors }: Naming,
): Promise<NonNullable<ExportedLoop['factorsOf']>> {
  const scalings: AdapterScaling[] = [];
  for (const [depth, ofDepth] of tensors.entries()) {
    const path = join(directory, depthDirectory(depth), ADAPTER_CONFIG_FILE);
    scalings.push(new AdapterScaling(path, await readFile(path, 'utf8')));
    requireFactors(ofDepth, manifest, model, safetensors);
  }
  return async (layer, depth, target) => {
    const module = moduleName(safetensors, layer, target);
    const stored = loraNames(module);
    const a = await readTensor(find(tensors[depth]!, stored.a));
    const b = await readTensor(find(tensors[depth]!, stored.b));
    const scaling = scalings[depth]!.of(module, a.length / targetShape(model, target)[1]);
    return { a, b: scaling === 1 ? b : b.map((value) => value * scaling) };
  };
}

/** A [r, in] and B [out, r] of every target of every layer of the block, and no others. */
function requireFactors(
  tensors: Tensors,
  manifest: ExportedManifest,
  model: ModelSpec,
  names: Naming['safetensors'],
): void {
  const { targets } = manifest.adapters!;
  const known = new Set<string>();
  for (const layer of blockOf(manifest)) {
    for (const target of targets) {
      const stored = loraNames(moduleName(names, layer, target));
      const [out, columns] = targetShape(model, target);
      const a = find(tensors, stored.a);
      const rank = Math.ceil(elementsOf(a.shape) / columns);
      requireShape(a, [rank, columns]);
      requireShape(find(tensors, stored.b), [out, rank]);
      known.add(stored.a).add(stored.b);
    }
  }
  refuseOthers(tensors, known, `factors of ${targets.join(', ')} in the block`);
}

function find(tensors: Tensors, name: string): StoredTensor {
  const tensor = tensors.get(name);
  if (tensor) return tensor;
  const file = tensors.values().next().value?.file.path ?? 'an adapter without tensors';
  throw new RondoError('CHECKPOINT_INVALID', `${file}: tensor ${name} is missing among ${tensors.size}`);
}

function refuseOthers(tensors: Tensors, known: ReadonlySet<string>, expected: string): void {
  const other = tensors.values().find(({ name }) => !known.has(name));
  if (!other) return;
  throw new RondoError(
    'CHECKPOINT_UNSUPPORTED',
    `${other.file.path}: tensor ${other.name} [${other.shape}] has no place among ${expected}, as ${EXPORTED_MANIFEST_FILE} has them; leaving it out would change the results`,
  );
}

async function readTensor(tensor: StoredTensor): Promise<Float32Array> {
  const data = await tensor.file.read(tensor);
  requireFinite(data, tensor);
  return data;
}
