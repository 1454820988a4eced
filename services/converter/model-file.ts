import { readFile } from 'node:fs/promises';
import { RondoError } from '@rondo/core';
import type { AdapterMethod, AdapterTarget, AdapterWeights, LayerFactors } from './adapters-weights.ts';
import type { ModelSpec } from './model-spec.ts';
import type { ModelWeights } from './model-weights.ts';

/** `model.json` of a bundle: what its graphs compute and where each weight lies, for whoever reads it and runs nothing. */
export interface ModelFile {
  readonly model: ModelSpec;
  /** config.json of a Hugging Face directory that says the same; absent where none can. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly weights: ModelWeights;
  readonly adapters?: StoredAdapters;
}

/** `AdapterWeights` without what only writing needs. */
export interface StoredAdapters {
  readonly method: AdapterMethod;
  readonly targets: readonly AdapterTarget[];
  readonly depths: number;
  /** By layer of the block. */
  readonly layers: Readonly<Record<string, LayerFactors>>;
}

export const MODEL_FILE = 'model.json';

const storedAdapters = ({ method, targets, depths, layers }: AdapterWeights): StoredAdapters => ({
  method,
  targets,
  depths,
  layers: Object.fromEntries(layers),
});

export function encodeModelFile(
  model: ModelSpec,
  config: ModelFile['config'],
  weights: ModelWeights,
  adapters: AdapterWeights | undefined,
): Uint8Array {
  const file: ModelFile = {
    model,
    ...(config && { config }),
    weights,
    ...(adapters && { adapters: storedAdapters(adapters) }),
  };
  return Buffer.from(`${JSON.stringify(file, plainArrays)}\n`);
}

/** @throws RondoError BUNDLE_INVALID when it is not there or no JSON. Its content is the bundle's, whose digest was verified. */
export async function readModelFile(path: string): Promise<ModelFile> {
  try {
    const file = JSON.parse(await readFile(path, 'utf8')) as ModelFile;
    const { exitGate } = file.weights;
    if (!exitGate) return file;
    const weight = Float32Array.from(exitGate.weight);
    return { ...file, weights: { ...file.weights, exitGate: { ...exitGate, weight } } };
  } catch (cause) {
    throw new RondoError('BUNDLE_INVALID', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Short arrays that lie in the graphs. An f32 written in decimal comes back as it was. */
const plainArrays = (_: string, value: unknown): unknown =>
  value instanceof Float32Array ? Array.from(value) : value;
