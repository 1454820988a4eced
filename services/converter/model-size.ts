import type { AdapterWeights } from './adapters-weights.ts';
import type { WeightRef } from './graph.ts';
import type { LoopPlan } from './loop-plan.ts';
import { type ModelSpec, tensorShapes } from './model-spec.ts';
import { isPerDepth, type LayerWeights, type ModelWeights } from './model-weights.ts';

export interface Size {
  readonly parameters: number;
  /** As stored in the bundle's precision. */
  readonly bytes: number;
}

export interface SizeReport {
  /** The source's layers, all of them, in the same precision. */
  readonly source: Size;
  /** What was written, factors included. */
  readonly written: Size;
  readonly factors: Size;
}

interface Written {
  readonly source: ModelSpec;
  readonly written: ModelSpec;
  readonly weights: ModelWeights;
  readonly plan: LoopPlan;
  readonly adapters: AdapterWeights | undefined;
}

export function sizeReport({ source, written, weights, plan, adapters }: Written): SizeReport {
  const factors = {
    parameters: total(adapters?.matrices.map(({ parameters }) => parameters) ?? []),
    bytes: total(adapters?.matrices.map(({ bytes }) => bytes) ?? []),
  };
  const layers = weights.layers.map((layer) => bytesOf(layer));
  const { layers: _, ...rest } = weights;
  const vectors = weights.layers.map((layer) => vectorBytes(layer) * (plan.maxDepth - 1));
  const base = total(layers) + bytesOf(rest);
  // All layers of a model are of one size: those that are not there would take what the first does.
  const missing = (source.layers - written.layers) * (layers[0]! - vectors[0]!);
  return {
    source: { parameters: parametersOf(source), bytes: base - total(vectors) + missing },
    written: {
      parameters: parametersOf(written) + total(vectors) / 4 + factors.parameters,
      bytes: base + factors.bytes,
    },
    factors,
  };
}

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** Values of all tensors of a model; a head that is the embedding counts once. */
export const parametersOf = (model: ModelSpec): number =>
  total([...tensorShapes(model)].map(([, shape]) => shape.reduce((size, side) => size * side, 1)));

/** Bytes of all tensors within `weights`; what two names share counts once. */
function bytesOf(weights: object): number {
  const tensors = new Map<number, number>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isWeight(value)) tensors.set(value.offset, value.bytes);
    else for (const part of Object.values(value)) visit(part);
  };
  visit(weights);
  return total([...tensors.values()]);
}

/** Of one depth, where depths have their own. */
const vectorBytes = (layer: LayerWeights): number => {
  const { attentionNorm, attentionOutNorm, ffnNorm, ffnOutNorm, headNorms, qkv, output } = layer;
  const vectors = [attentionNorm, attentionOutNorm, ffnNorm, ffnOutNorm, headNorms, qkv.bias, output.bias];
  return total(vectors.map((vector) => (vector && isPerDepth(vector) ? vector.bytes / vector.dims[0]! : 0)));
};

const isWeight = (value: object): value is WeightRef => 'offset' in value && 'dims' in value;
