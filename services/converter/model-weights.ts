import type { Manifest } from '@rondo/bundle';
import type { Checkpoint } from './checkpoint.ts';
import type { WeightRef } from './graph.ts';
import { quantize, quantizeChannels } from './quantize.ts';
import type { WeightsFile } from './weights-file.ts';

/** A linear layer as stored: y = x·Wᵀ + b, W [out, in]. */
export interface LinearWeights {
  readonly name: string;
  readonly out: number;
  readonly columns: number;
  readonly bias?: WeightRef;
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

/** The part of a linear layer that makes its outputs from `first` on; it shares the file's bytes. */
export function rowsFrom(weights: LinearWeights, first: number): LinearWeights {
  const part = (ref: WeightRef): WeightRef => {
    const skipped = (ref.bytes / weights.out) * first;
    const dims =
      ref.dims[0] === weights.out
        ? [weights.out - first, ...ref.dims.slice(1)]
        : [(ref.dims[0]! / weights.out) * (weights.out - first)];
    return { ...ref, offset: ref.offset + skipped, bytes: ref.bytes - skipped, dims };
  };
  const { matrix, bias } = weights;
  return {
    ...weights,
    out: weights.out - first,
    ...(bias && { bias: part(bias) }),
    matrix: matrixFrom(matrix, part, first),
  };
}

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
  readonly attentionNorm: WeightRef;
  readonly attentionOutNorm?: WeightRef;
  readonly ffnNorm: WeightRef;
  readonly ffnOutNorm?: WeightRef;
  /** Rows: all query heads, all key heads, all value heads. */
  readonly qkv: LinearWeights;
  /** [heads + kvHeads, headDim]: per-head norm weights of queries and keys. */
  readonly headNorms?: Float32Array;
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

/** Reads `checkpoint` tensor by tensor and appends the packed, perhaps quantised weights to `file`. */
export async function writeModelWeights(
  checkpoint: Checkpoint,
  precision: Precision,
  file: WeightsFile,
  onProgress: OnProgress = () => {},
): Promise<ModelWeights> {
  const { model } = checkpoint;
  const total = model.layers + 2;
  const vector = async (name: string) => {
    const data = await checkpoint.read(name);
    return file.append(data, [data.length]);
  };
  const linear = async (name: string, parts: readonly string[], columns: number, biased: boolean) => {
    const weight = await readJoined(
      checkpoint,
      parts.map((part) => part),
    );
    const out = weight.length / columns;
    const bias = biased
      ? {
          bias: await appendVector(
            file,
            await readJoined(
              checkpoint,
              parts.map((part) => `${part}.bias`),
            ),
          ),
        }
      : {};
    return { name, out, columns, ...bias, matrix: await appendMatrix(file, weight, out, columns, precision) };
  };

  onProgress(0, total, 'embedding');
  const embeddingData = await checkpoint.read('embedding');
  const embedding = await file.append(embeddingData, [model.vocab, model.hidden]);
  const layers: LayerWeights[] = [];
  for (let index = 0; index < model.layers; index++) {
    onProgress(index + 1, total, `layer ${index}`);
    const at = `layers.${index}`;
    layers.push({
      index,
      attentionNorm: await vector(`${at}.attentionNorm`),
      ffnNorm: await vector(`${at}.ffnNorm`),
      ...(model.sandwichNorms && {
        attentionOutNorm: await vector(`${at}.attentionOutNorm`),
        ffnOutNorm: await vector(`${at}.ffnOutNorm`),
      }),
      qkv: await linear(`${at}.qkv`, [`${at}.q`, `${at}.k`, `${at}.v`], model.hidden, model.qkvBias),
      ...(model.headNorms && { headNorms: await readHeadNorms(checkpoint, at) }),
      output: await linear(`${at}.o`, [`${at}.o`], model.heads * model.headDim, model.outputBias),
      gateUp: await linear(`${at}.gate_up`, [`${at}.gate`, `${at}.up`], model.hidden, false),
      down: await linear(`${at}.down`, [`${at}.down`], model.ffn, false),
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
  const finalNorm = await vector('finalNorm');
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

async function readJoined(checkpoint: Checkpoint, names: readonly string[]): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const name of names) parts.push(await checkpoint.read(name));
  if (parts.length === 1) return parts[0]!;
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

const appendVector = (file: WeightsFile, data: Float32Array): Promise<WeightRef> =>
  file.append(data, [data.length]);

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

async function readHeadNorms(checkpoint: Checkpoint, at: string): Promise<Float32Array> {
  const { heads, kvHeads, headDim } = checkpoint.model;
  const query = await checkpoint.read(`${at}.qNorm`);
  const key = await checkpoint.read(`${at}.kNorm`);
  const joined = new Float32Array((heads + kvHeads) * headDim);
  for (let head = 0; head < heads + kvHeads; head++) joined.set(head < heads ? query : key, head * headDim);
  return joined;
}
