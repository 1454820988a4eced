import { copyFile, link, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  digestFile,
  MANIFEST_FILE,
  type Manifest,
  parseManifest,
  STACKS,
  type Stack,
  variesByDepth,
} from '@rondo/bundle';
import { LIMITS, RondoError } from '@rondo/core';
import {
  type AdapterMatrix,
  type AdapterOptions,
  type AdapterWeights,
  adapterMethod,
  writeAdapters,
} from './adapters-weights.ts';
import type { Checkpoint } from './checkpoint.ts';
import { type DepthVectors, tiedVectors } from './depth-vectors.ts';
import { describeBundle, type ExitDefaults, segmentNames } from './describe-bundle.ts';
import { exportedPlan, withExported } from './exported-options.ts';
import type { GraphOptions } from './graph-options.ts';
import { blockGraph, codaGraph, headGraph, preludeGraph } from './graphs.ts';
import { huggingFaceConfig } from './huggingface-config.ts';
import { kvCopyGraph, kvStoreGraph } from './kv-graphs.ts';
import { embeddingPlace, headPlace, layerPlaces } from './layer-places.ts';
import { TiedCheckpoint } from './loop-init.ts';
import { type LoopOptions, type LoopPlan, planLoop } from './loop-plan.ts';
import { type LoraOptions, openLora } from './lora.ts';
import { encodeModelFile, MODEL_FILE } from './model-file.ts';
import { type SizeReport, sizeReport } from './model-size.ts';
import { type ModelWeights, type OnProgress, type Precision, writeModelWeights } from './model-weights.ts';
import { propagateGraph, segmentGraphs } from './segment-graphs.ts';
import { diskError, WeightsFile } from './weights-file.ts';
import { onDisk, writeWhole } from './whole-directory.ts';

export interface ConvertOptions extends LoopOptions {
  readonly checkpoint: Checkpoint;
  /** Directory to create; an existing bundle there is replaced, anything else is refused. */
  readonly out: string;
  readonly precision: Precision;
  /** What deeper passes see of a row that left early; by default its K/V at the exit depth. */
  readonly kvPolicy?: Manifest['kvPolicy'] | undefined;
  /** When rows leave unless a request says otherwise; by default as trained, else never. */
  readonly exit?: ExitDefaults | undefined;
  readonly name?: string | undefined;
  /** Positions of K and V in one page: a multiple of 4; by default `LIMITS.pagePositions`. */
  readonly pagePositions?: number | undefined;
  /** Weights written before by `prepareWeights`, for several loops over one checkpoint; linked, not copied. */
  readonly prepared?: PreparedWeights | undefined;
  /** Whether norms and biases of a tied block are those of each depth's layer; by default when there are adapters. */
  readonly norms?: 'shared' | 'per-depth' | undefined;
  /** Factors of a tied block that give each depth back what its layer lost; none by default. */
  readonly lora?: LoraOptions | undefined;
  /** Factors from elsewhere for every depth of the block. */
  readonly adapters?: AdapterOptions | undefined;
  /** Told what was written of them. */
  readonly onAdapters?: ((matrices: readonly AdapterMatrix[]) => void) | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly onSize?: ((size: SizeReport) => void) | undefined;
}

const WEIGHTS_FILE = 'weights.bin';

/** A weights file and what lies where in it. It does not depend on how the layers are looped. */
export interface PreparedWeights {
  readonly path: string;
  readonly weights: ModelWeights;
}

/** Writes a checkpoint's weights into `directory`, to be linked into any number of bundles of that `precision`. */
export async function prepareWeights(
  checkpoint: Checkpoint,
  precision: Precision,
  directory: string,
  onProgress?: OnProgress,
  vectors?: DepthVectors,
): Promise<PreparedWeights> {
  const path = join(directory, WEIGHTS_FILE);
  const file = await WeightsFile.create(path, WEIGHTS_FILE);
  try {
    return { path, weights: await writeModelWeights(checkpoint, precision, file, onProgress, vectors) };
  } finally {
    await file.close();
  }
}

/**
 * Writes `checkpoint` as a bundle: graphs, weights as external data, tokenizer files, manifest. The bundle appears
 * under `out` only when it is whole and would open.
 * @throws RondoError CONFIG_INVALID for impossible loop or adapter options or a full disk; CHECKPOINT_* from the reader.
 */
export async function convert(given: ConvertOptions): Promise<Manifest> {
  const options = withExported(given);
  const plan = options.checkpoint.exported
    ? exportedPlan(options.checkpoint.model, options.checkpoint.exported.manifest)
    : planLoop(options.checkpoint.model, options);
  if (options.exit && options.exit.minDepth > plan.maxDepth) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--min-depth ${options.exit.minDepth}: the model has ${plan.maxDepth} passes; choose at most that`,
    );
  }
  if (plan.tied && options.prepared) {
    throw new RondoError(
      'INTERNAL',
      'prepared weights are of the source, a tied plan has weights of its own',
    );
  }
  const checkpoint = plan.tied ? new TiedCheckpoint(options.checkpoint, plan) : options.checkpoint;
  const lora = openLora(options, checkpoint);
  const adapters = options.adapters ?? lora?.adapters;
  const vectors = depthVectors({ ...options, adapters }, checkpoint);
  if ((adapters || vectors) && options.kvPolicy === 'propagate') {
    throw new RondoError(
      'CONFIG_INVALID',
      `kvPolicy propagate: not with ${adapters ? 'adapters' : 'norms per depth'}, whose K and V differ at every depth; choose 'last-exited' or 'catch-up'`,
    );
  }
  try {
    return await writeWhole(options.out, { marker: MANIFEST_FILE, name: 'a bundle' }, (directory) =>
      writeBundle({ ...options, checkpoint, adapters }, plan, vectors, directory),
    );
  } finally {
    await lora?.close();
  }
}

/** Norms and biases of each depth's own layer: with them and adapters of full rank a tied block is those layers again. */
function depthVectors({ norms, adapters }: ConvertOptions, checkpoint: Checkpoint): DepthVectors | undefined {
  if (checkpoint.exported) return checkpoint.exported.vectors;
  if (checkpoint instanceof TiedCheckpoint) {
    return (norms ?? (adapters ? 'per-depth' : 'shared')) === 'per-depth'
      ? tiedVectors(checkpoint)
      : undefined;
  }
  if (norms === undefined) return undefined;
  throw new RondoError('CONFIG_INVALID', `--norms ${norms}: only with --init, which ties layers into one`);
}

async function writeBundle(
  options: ConvertOptions,
  plan: LoopPlan,
  vectors: DepthVectors | undefined,
  directory: string,
): Promise<Manifest> {
  const { checkpoint, precision } = options;
  const { weights } =
    options.prepared ?? (await prepareWeights(checkpoint, precision, directory, options.onProgress, vectors));
  const weightsPath = join(directory, WEIGHTS_FILE);
  if (options.prepared) {
    // Adapters are appended, which a link would do to every bundle that shares the file.
    const place = options.adapters ? copyFile : link;
    await onDisk(weightsPath, place(options.prepared.path, weightsPath));
  }
  const adapters =
    options.adapters &&
    (await appendAdapters(options.adapters, options.precision, checkpoint, plan, weightsPath));
  if (adapters) options.onAdapters?.(adapters.matrices);
  const source = checkpoint instanceof TiedCheckpoint ? checkpoint.source : checkpoint;
  options.onSize?.(sizeReport({ source: source.model, written: checkpoint.model, weights, plan, adapters }));
  const candidates = Math.min(LIMITS.headCandidates, checkpoint.model.vocab);
  const { pagePositions = LIMITS.pagePositions } = options;
  const graphOptions = { model: checkpoint.model, weights, plan, pagePositions, adapters };
  const config = huggingFaceConfig(checkpoint.model, checkpoint.config);
  const description = describeBundle(options, plan, vectors !== undefined, candidates, adapters);
  const varies = variesByDepth(description);
  const wholeGraphs = (given: GraphOptions) => ({
    prelude: preludeGraph(given),
    block: blockGraph(given),
    ...(plan.coda.length > 0 && { coda: codaGraph(given) }),
    head: headGraph(given, candidates),
  });
  const whole = Object.entries(wholeGraphs(graphOptions));
  const onDevices = new Map(Object.entries(wholeGraphs({ ...graphOptions, integers: false })));
  const others = whole.filter(([role, bytes]) => Buffer.compare(bytes, onDevices.get(role)!) !== 0);
  const deviceGraphs = Object.fromEntries(others.map(([role]) => [role, deviceFile(`${role}.onnx`)]));
  const segments = STACKS.map((stack) => ({ stack, files: segmentFiles(graphOptions, stack) }));
  const otherSegments = segments.flatMap(({ stack, files }) => {
    const onDevice = segmentFiles({ ...graphOptions, integers: false }, stack);
    if (files.every(([, bytes], at) => Buffer.compare(bytes, onDevice[at]![1]) === 0)) return [];
    const renamed = onDevice.map(([name, bytes]): NamedGraph => [deviceFile(name), bytes]);
    return { stack, files: renamed };
  });
  const deviceSegments = Object.fromEntries(
    otherSegments.map(({ stack, files }) => [stack, files.map(([name]) => name)]),
  );
  const contents = new Map<string, Uint8Array>([
    ...whole.map(([role, bytes]) => [`${role}.onnx`, bytes] as const),
    ...others.map(([role]) => [deviceGraphs[role]!, onDevices.get(role)!] as const),
    ...[...segments, ...otherSegments].flatMap(({ files }) => files),
    // Its rows come without depths.
    ...(varies ? [] : [['propagate.onnx', propagateGraph(graphOptions)] as const]),
    ['kv-store.onnx', kvStoreGraph(checkpoint.model)],
    ['kv-copy.onnx', kvCopyGraph(checkpoint.model)],
    ...checkpoint.tokenizerFiles,
    [MODEL_FILE, encodeModelFile(checkpoint.model, config, weights, adapters)],
  ]);
  for (const [name, bytes] of contents) await write(join(directory, name), bytes);
  const layerWeights = layerPlaces(graphOptions);
  const headWeights = headPlace(graphOptions);
  const manifest: Manifest = {
    ...description,
    ...(others.length > 0 && { deviceGraphs }),
    ...(otherSegments.length > 0 && { deviceSegments }),
    ...(plan.prelude.length === 0 && { embedding: embeddingPlace(graphOptions) }),
    ...(layerWeights && { layerWeights }),
    ...(headWeights && { headWeights }),
    files: await Promise.all([WEIGHTS_FILE, ...contents.keys()].map((name) => fileEntry(directory, name))),
  };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  requireManifest(options, text);
  await write(join(directory, MANIFEST_FILE), Buffer.from(text));
  return manifest;
}

/** A checkpoint may say what its reader has no rule against and no bundle can hold. */
function requireManifest({ checkpoint, out }: ConvertOptions, text: string): void {
  try {
    parseManifest(join(out, MANIFEST_FILE), text);
  } catch (cause) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${checkpoint.path}: the bundle that is made of it would not open, and was not written: ${(cause as Error).message}`,
      { cause },
    );
  }
}

async function appendAdapters(
  options: AdapterOptions,
  precision: Precision,
  { model }: Checkpoint,
  plan: LoopPlan,
  path: string,
): Promise<AdapterWeights> {
  const file = await WeightsFile.extend(path, WEIGHTS_FILE);
  try {
    const { method = adapterMethod(precision) } = options;
    return await writeAdapters({ ...options, method }, model, plan, file);
  } finally {
    await file.close();
  }
}

type NamedGraph = readonly [name: string, bytes: Uint8Array];

function segmentFiles(options: GraphOptions, stack: Stack): NamedGraph[] {
  const names = segmentNames(options.plan, stack);
  if (names.length === 0) return [];
  return segmentGraphs(options, stack).map((bytes, index): NamedGraph => [names[index]!, bytes]);
}

/** The name of a graph's other form, without products of integers. */
const deviceFile = (name: string): string => name.replace(/\.onnx$/, '-device.onnx');

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes).catch((cause: unknown) => {
    throw diskError(path, bytes.byteLength, cause);
  });
}

async function fileEntry(directory: string, name: string): Promise<Manifest['files'][number]> {
  const path = join(directory, name);
  return { path: name, bytes: (await stat(path)).size, sha256: await digestFile(path) };
}
