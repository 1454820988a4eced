import type { Manifest } from '@rondo/bundle';
import type { WeightRef } from './graph.ts';
import type { GraphOptions } from './graph-options.ts';
import type { LayerWeights, LinearWeights } from './model-weights.ts';
import { QUANTIZATION_BLOCK } from './quantize.ts';

type LayerPlaces = NonNullable<Manifest['layerWeights']>;
type LayerPlace = LayerPlaces['block'][number];

/** Outputs that the engine's kernel computes together. */
const OUTPUTS_TOGETHER = 8;

/** Where the table of embeddings lies. */
export const embeddingPlace = ({ model, weights }: GraphOptions): NonNullable<Manifest['embedding']> => ({
  file: weights.embedding.file,
  offset: weights.embedding.offset,
  scale: Math.fround(model.embeddingScale),
});

/**
 * Where the weights of layers that are the same at every depth lie, or undefined when there is more to them than the
 * engine's kernel knows.
 */
export function layerPlaces({ model, weights, plan }: GraphOptions): LayerPlaces | undefined {
  const { ffn, normEpsilon, activation } = model;
  if (activation !== 'silu' || ffn % QUANTIZATION_BLOCK !== 0) return undefined;
  const places = weights.layers.map(placeOf);
  if (places.some((place) => place === undefined)) return undefined;
  const of = (indices: readonly number[]): LayerPlace[] => indices.map((index) => places[index]!);
  return {
    file: weights.embedding.file,
    ffn,
    normEpsilon,
    plainPassEnd: !plan.normAfterPass && !weights.exitGate,
    prelude: of(plan.prelude),
    block: of(plan.block),
    coda: of(plan.coda),
  };
}

/** Where the head's weights lie, or undefined when the engine's kernel does not know it. */
export function headPlace({ model, weights, plan }: GraphOptions): Manifest['headWeights'] {
  const { head, finalNorm } = weights;
  const place = matrixPlaceOf(head);
  if (!place || head.matrix.kind !== 'channels') return undefined;
  return {
    file: finalNorm.file,
    normEpsilon: model.normEpsilon,
    ...(!plan.normAfterPass && { finalNorm: finalNorm.offset }),
    data: place.data,
    scales: place.scales,
  };
}

function placeOf(layer: LayerWeights): LayerPlace | undefined {
  if (layer.headNorms || layer.attentionOutNorm || layer.ffnOutNorm) return undefined;
  const [qkv, output, gateUp, down] = [layer.qkv, layer.output, layer.gateUp, layer.down].map(matrixPlaceOf);
  if (!qkv || !output || !gateUp || !down) return undefined;
  const { attentionNorm, ffnNorm } = layer;
  return { attentionNorm: attentionNorm.offset, ffnNorm: ffnNorm.offset, qkv, output, gateUp, down };
}

function matrixPlaceOf({ matrix, bias, out, columns }: LinearWeights): LayerPlace['qkv'] | undefined {
  if (bias || columns % QUANTIZATION_BLOCK !== 0 || out % OUTPUTS_TOGETHER !== 0) return undefined;
  const start = (ref: WeightRef) => ref.offset;
  if (matrix.kind === 'channels') return { data: start(matrix.data), scales: start(matrix.scales) };
  if (matrix.kind !== 'blocks' || matrix.bits !== 4) return undefined;
  return { data: start(matrix.data), scales: start(matrix.scales), zeroPoints: start(matrix.zeroPoints) };
}
