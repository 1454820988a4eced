import type { FactorsPlace, LayerPlace, Manifest, MatrixPlace } from '@rondo/bundle';
import type { IntegerFactors } from './adapters-integer.ts';
import { type LayerFactors, type PackedFactors, type PackedName, targetShape } from './adapters-weights.ts';
import type { WeightRef } from './graph.ts';
import type { GraphOptions } from './graph-options.ts';
import type { ModelSpec } from './model-spec.ts';
import { isPerDepth, type LayerWeights, type LinearWeights } from './model-weights.ts';
import { QUANTIZATION_BLOCK } from './quantize.ts';

type LayerPlaces = NonNullable<Manifest['layerWeights']>;

/** What a layer's place calls the linear that a packed one is. */
const FACTORS_OF = { qkv: 'qkv', o: 'output', gate_up: 'gateUp', down: 'down' } as const;

/** Outputs that the engine's kernel computes together. */
const OUTPUTS_TOGETHER = 8;

/** Where the table of embeddings lies. */
export const embeddingPlace = ({ model, weights }: GraphOptions): NonNullable<Manifest['embedding']> => ({
  file: weights.embedding.file,
  offset: weights.embedding.offset,
  scale: Math.fround(model.embeddingScale),
});

/** Where the weights of layers lie, or undefined when there is more to them than the engine's kernel knows. */
export function layerPlaces({ model, weights, plan, adapters }: GraphOptions): LayerPlaces | undefined {
  const { ffn, normEpsilon, activation } = model;
  if (activation !== 'silu' || ffn % QUANTIZATION_BLOCK !== 0) return undefined;
  const { file } = weights.embedding;
  const places = weights.layers.map((layer) =>
    placeOf(model, layer, file, adapters?.layers.get(layer.index)),
  );
  if (places.some((place) => place === undefined)) return undefined;
  const of = (indices: readonly number[]): LayerPlace[] => indices.map((index) => places[index]!);
  return {
    file,
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

function placeOf(
  model: ModelSpec,
  layer: LayerWeights,
  file: string,
  adapters: LayerFactors = {},
): LayerPlace | undefined {
  if (layer.headNorms || layer.attentionOutNorm || layer.ffnOutNorm) return undefined;
  const [qkv, output, gateUp, down] = [layer.qkv, layer.output, layer.gateUp, layer.down].map(matrixPlaceOf);
  if (!qkv || !output || !gateUp || !down) return undefined;
  const { attentionNorm, ffnNorm } = layer;
  const adapted = Object.entries(adapters).map(
    ([name, factors]) => [FACTORS_OF[name as PackedName], factorsPlaceOf(model, factors, file)] as const,
  );
  if (adapted.some(([, place]) => place === undefined)) return undefined;
  const factors: LayerPlace['factors'] = Object.fromEntries(adapted);
  return {
    ...{ attentionNorm: attentionNorm.offset, ffnNorm: ffnNorm.offset, qkv, output, gateUp, down },
    ...(isPerDepth(attentionNorm) && { normsPerDepth: true }),
    ...(adapted.length > 0 && { factors }),
  };
}

/** Integer factors only: others are floats, which take as long as the whole of a layer of integers. */
function factorsPlaceOf(
  model: ModelSpec,
  factors: PackedFactors,
  weightsFile: string,
): FactorsPlace | undefined {
  if (factors.kind !== 'integer') return undefined;
  const { a, parts, ups } = factors;
  if ([a, ...ups].some(({ data, scales }) => data.file !== weightsFile || scales.file !== weightsFile))
    return undefined;
  const outputsOf = ({ target }: (typeof parts)[number]) => targetShape(model, target)[0];
  const begun = (part: (typeof parts)[number]) =>
    part.firstOutput % OUTPUTS_TOGETHER !== 0 || outputsOf(part) % OUTPUTS_TOGETHER !== 0;
  if (parts.some(begun)) return undefined;
  const together = ups[0]!.data.dims[1] !== outputsOf(parts[0]!);
  let firstInput = 0;
  const placed = parts.map((part, at) => {
    const { firstOutput, ranks } = part;
    const begins = together ? { firstInput, firstColumn: firstOutput } : { firstInput: 0, firstColumn: 0 };
    firstInput += ranks.reduce((sum, rank) => sum + rank, 0);
    const b = integerPlaceOf(ups[together ? 0 : at]!);
    return { firstOutput, outputs: outputsOf(part), ranks: [...ranks], b, ...begins };
  });
  return { a: integerPlaceOf(a), parts: placed };
}

const integerPlaceOf = ({ data, scales }: IntegerFactors['a']): FactorsPlace['a'] => ({
  data: data.offset,
  scales: scales.offset,
  outputs: data.dims[1]!,
});

function matrixPlaceOf({ matrix, bias, out, columns }: LinearWeights): MatrixPlace | undefined {
  if (bias || columns % QUANTIZATION_BLOCK !== 0 || out % OUTPUTS_TOGETHER !== 0) return undefined;
  const start = (ref: WeightRef) => ref.offset;
  if (matrix.kind === 'channels') return { data: start(matrix.data), scales: start(matrix.scales) };
  if (matrix.kind !== 'blocks' || matrix.bits !== 4) return undefined;
  return { data: start(matrix.data), scales: start(matrix.scales), zeroPoints: start(matrix.zeroPoints) };
}
