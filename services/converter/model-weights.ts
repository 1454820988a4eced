import type { Manifest } from '@rondo/bundle';
import { concatenated } from '@rondo/core';
import { PACKED } from './adapters-weights.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { DepthVectors } from './depth-vectors.ts';
import type { WeightRef } from './graph.ts';
import { quantize, quantizeChannels } from './quantize.ts';
import type { WeightsFile } from './weights-file.ts';

/** [n], or [D, n] where every depth has its own. */
export type Vector = WeightRef;

export const isPerDepth = ({ dims }: Vector): boolean => dims.length > 1;

/** A linear layer as stored: y = x·Wᵀ + b, W [out, in]. */
export interface LinearWeights {
  readonly name: string;
  readonly out: number;
  readonly columns: number;
  readonly bias?: Vector;
  readonly matrix:
    | { readonly kind: 'dense'; readonly weight: WeightRef }
    | {
        readonly kind: 'blocks';
        readonly bits: 4 | 8;
        readonly data: WeightRef;
        readonly scales: WeightRef;
        readonly zeroPoints: WeightRef;
      }
    | {
        readonly kind: 'channels';
        /** int8 [columns, all outputs] */
        readonly data: WeightRef;
        readonly scales: WeightRef;
        /** Outputs at the front of `data` that are not of this layer. */
        readonly skipped: number;
      };
}

/** The part of a linear layer that makes its outputs from `first` to `end`; it shares the file's bytes. Biases must be [n]. */
export function rowsFrom(weights: LinearWeights, first: number, end = weights.out): LinearWeights {
  const out = end - first;
  const part = (ref: WeightRef): WeightRef => {
    const rowBytes = ref.bytes / weights.out;
    const dims =
      ref.dims[0] === weights.out ? [out, ...ref.dims.slice(1)] : [(ref.dims[0]! / weights.out) * out];
    return { ...ref, offset: ref.offset + rowBytes * first, bytes: rowBytes * out, dims };
  };
  const { matrix, bias } = weights;
  return {
    ...weights,
    out,
    ...(bias && { bias: part(bias) }),
    matrix: matrixFrom(matrix, part, first),
  };
}

/** The values of a vector [n] from `first` on. */
export const valuesFrom = (vector: Vector, first: number): Vector => {
  const skipped = (vector.bytes / vector.dims[0]!) * first;
  return {
    ...vector,
    offset: vector.offset + skipped,
    bytes: vector.bytes - skipped,
    dims: [vector.dims[0]! - first],
  };
};

function matrixFrom(
  matrix: LinearWeights['matrix'],
  part: (ref: WeightRef) => WeightRef,
  first: number,
): LinearWeights['matrix'] {
  switch (matrix.kind) {
    case 'dense':
      return { kind: 'dense', weight: part(matrix.weight) };
    case 'blocks':
      return {
        ...matrix,
        data: part(matrix.data),
        scales: part(matrix.scales),
        zeroPoints: part(matrix.zeroPoints),
      };
    case 'channels':
      return { ...matrix, scales: part(matrix.scales), skipped: matrix.skipped + first };
  }
}

export interface LayerWeights {
  readonly index: number;
  readonly attentionNorm: Vector;
  readonly attentionOutNorm?: Vector;
  readonly ffnNorm: Vector;
  readonly ffnOutNorm?: Vector;
  /** Rows: all query heads, all key heads, all value heads. */
  readonly qkv: LinearWeights;
  /** n = (heads + kvHeads)·headDim: per-head norm weights of queries and keys. */
  readonly headNorms?: Vector;
  readonly output: LinearWeights;
  /** Rows: gate, then up. */
  readonly gateUp: LinearWeights;
  readonly down: LinearWeights;
}

/** Everything the graphs refer to. The file's content does not depend on how the layers are looped. */
export interface ModelWeights {
  readonly embedding: WeightRef;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: WeightRef;
  readonly head: LinearWeights;
  readonly exitGate?: { readonly weight: Float32Array; readonly bias: number };
}

export type Precision = Manifest['precision'];
export type OnProgress = (done: number, total: number, what: string) => void;

/** The head keeps eight bits: at four it alone caused a third of SmolLM2's loss in perplexity (ADR 8). */
const HEAD_PRECISION = { f32: 'f32', int8: 'int8', int4: 'int8' } as const;

/**
 * Reads `checkpoint` tensor by tensor and appends the packed, perhaps quantised weights to `file`; norms and biases of the
 * layers in `vectors` once for each depth.
 */
export async function writeModelWeights(
  checkpoint: Checkpoint,
  precision: Precision,
  file: WeightsFile,
  onProgress: OnProgress = () => {},
  vectors?: DepthVectors,
): Promise<ModelWeights> {
  const { model } = checkpoint;
  const total = model.layers + 2;
  const vector = async (layer: number, ...tensors: string[]): Promise<Vector> => {
    const names = tensors.map((tensor) => `layers.${layer}.${tensor}`);
    if (!vectors?.layers.has(layer)) {
      const data = await readJoined(checkpoint, names);
      return file.append(data, [data.length]);
    }
    const rows: Float32Array[] = [];
    for (let depth = 0; depth < vectors.depths; depth++) {
      rows.push(await readJoined({ read: (name) => vectors.read(name, depth) }, names));
    }
    return file.append(concatenated(rows), [vectors.depths, rows[0]!.length]);
  };
  const linear = async (
    layer: number,
    packed: string,
    parts: readonly string[],
    columns: number,
    biased: boolean,
  ): Promise<LinearWeights> => {
    const weight = await readJoined(
      checkpoint,
      parts.map((part) => `layers.${layer}.${part}`),
    );
    const out = weight.length / columns;
    return {
      name: `layers.${layer}.${packed}`,
      out,
      columns,
      ...(biased && { bias: await vector(layer, ...parts.map((part) => `${part}.bias`)) }),
      matrix: await appendMatrix(file, weight, out, columns, precision),
    };
  };
  const headNorms = (layer: number) =>
    vector(layer, ...Array<string>(model.heads).fill('qNorm'), ...Array<string>(model.kvHeads).fill('kNorm'));

  onProgress(0, total, 'embedding');
  const embeddingData = await checkpoint.read('embedding');
  const embedding = await file.append(embeddingData, [model.vocab, model.hidden]);
  const layers: LayerWeights[] = [];
  for (let index = 0; index < model.layers; index++) {
    onProgress(index + 1, total, `layer ${index}`);
    layers.push({
      index,
      attentionNorm: await vector(index, 'attentionNorm'),
      ffnNorm: await vector(index, 'ffnNorm'),
      ...(model.sandwichNorms && {
        attentionOutNorm: await vector(index, 'attentionOutNorm'),
        ffnOutNorm: await vector(index, 'ffnOutNorm'),
      }),
      qkv: await linear(index, 'qkv', PACKED.qkv, model.hidden, model.qkvBias),
      ...(model.headNorms && { headNorms: await headNorms(index) }),
      output: await linear(index, 'o', PACKED.o, model.heads * model.headDim, model.outputBias),
      gateUp: await linear(index, 'gate_up', PACKED.gate_up, model.hidden, false),
      down: await linear(index, 'down', PACKED.down, model.ffn, false),
    });
  }
  onProgress(model.layers + 1, total, 'head');
  const shared = model.tiedHead && precision === 'f32';
  const head: LinearWeights = {
    name: 'head',
    out: model.vocab,
    columns: model.hidden,
    matrix: shared
      ? { kind: 'dense', weight: embedding }
      : await appendMatrix(
          file,
          model.tiedHead ? embeddingData : await checkpoint.read('head'),
          model.vocab,
          model.hidden,
          HEAD_PRECISION[precision],
        ),
  };
  const finalNorm = await file.append(await checkpoint.read('finalNorm'), [model.hidden]);
  const exitGate = model.loop?.gate
    ? {
        exitGate: {
          weight: await checkpoint.read('gate.weight'),
          bias: (await checkpoint.read('gate.bias'))[0]!,
        },
      }
    : {};
  onProgress(total, total, 'weights');
  return { embedding, layers, finalNorm, head, ...exitGate };
}

async function readJoined(source: Pick<Checkpoint, 'read'>, names: readonly string[]): Promise<Float32Array> {
  const known = new Map<string, Float32Array>();
  for (const name of new Set(names)) known.set(name, await source.read(name));
  return concatenated(names.map((name) => known.get(name)!));
}

async function appendMatrix(
  file: WeightsFile,
  weight: Float32Array,
  out: number,
  columns: number,
  precision: Precision,
): Promise<LinearWeights['matrix']> {
  if (precision === 'f32') return { kind: 'dense', weight: await file.append(weight, [out, columns]) };
  if (precision === 'int8') {
    const { data, scales } = quantizeChannels(weight, out, columns);
    return {
      kind: 'channels',
      data: await file.append(data, [columns, out]),
      scales: await file.append(scales, [out]),
      skipped: 0,
    };
  }
  const { bits, data, scales, zeroPoints, blocks } = quantize(weight, out, columns, 4);
  return {
    kind: 'blocks',
    bits,
    data: await file.append(data, [out, blocks, data.length / (out * blocks)]),
    scales: await file.append(scales, [out * blocks]),
    zeroPoints: await file.append(zeroPoints, [zeroPoints.length]),
  };
}
