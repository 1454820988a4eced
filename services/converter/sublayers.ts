import { RondoError } from '@rondo/core';
import type { LayerAdapters } from './adapters.ts';
import type { PackedName } from './adapters-weights.ts';
import type { ModelSpec } from './checkpoint.ts';
import type { DepthRows } from './depth-rows.ts';
import { type Graph, ORT, type Value } from './graph.ts';
import type { GraphOptions } from './graph-options.ts';
import { integerProduct, middle, roundRows, type ScaledRows, scaled, withFactor } from './integer-product.ts';
import { isPerDepth, type LayerWeights, type LinearWeights, rowsFrom, type Vector } from './model-weights.ts';
import { DATA_TYPE } from './onnx-model.ts';
import { QUANTIZATION_BLOCK } from './quantize.ts';

/** A vector as the rows of a graph need it: [n], or [N, n] where each row has that of its depth. */
function vectorOf(graph: Graph, name: string, vector: Vector, rows?: DepthRows): Value {
  const stored = graph.weight(name, vector);
  if (!isPerDepth(vector)) return stored;
  if (!rows) throw new RondoError('INTERNAL', `${name} differs by depth in a graph that knows no depths`);
  return rows.ofRow(stored);
}

interface LinearOptions {
  readonly adapters?: LayerAdapters | undefined;
  readonly as?: PackedName;
  /** [N, 1] what rows of x are yet to be multiplied by. */
  readonly factor?: Value | undefined;
}

/** y = x·Wᵀ + b for x [N, in], with f32 or quantised weights, and what `adapters` add to the packed linear `as`. */
export function linear(
  graph: Graph,
  weights: LinearWeights,
  x: Value,
  { adapters, as, factor }: LinearOptions = {},
): Value {
  const { name } = weights;
  const bias = weights.bias && vectorOf(graph, `${name}.bias`, weights.bias, adapters?.rows);
  const together = weights.matrix.kind === 'dense';
  const output = product(graph, weights, x, together ? bias : undefined);
  const whole = adapters && as ? adapters.adaptWhole(as, x, output) : output;
  const adapted = scaled(graph, withFactor(graph, whole, factor));
  return bias && !together ? graph.node('Add', [adapted, bias]) : adapted;
}

/** x·Wᵀ, and with f32 weights + b. */
function product(graph: Graph, weights: LinearWeights, x: Value, bias?: Value): ScaledRows {
  const { name, matrix } = weights;
  switch (matrix.kind) {
    case 'dense': {
      const inputs = [x, graph.weight(`${name}.weight`, matrix.weight), ...(bias ? [bias] : [])];
      return { rows: graph.node('Gemm', inputs, { attributes: { transB: 1 } }), factor: undefined };
    }
    case 'blocks':
      return { rows: blockProduct(graph, weights, matrix, x), factor: undefined };
    case 'channels':
      return graph.integers
        ? channelProduct(graph, weights, matrix, x)
        : { rows: byteProduct(graph, weights, matrix, x), factor: undefined };
  }
}

type Matrix<Kind> = Extract<LinearWeights['matrix'], { kind: Kind }>;

function blockProduct(
  graph: Graph,
  { name, out, columns }: LinearWeights,
  matrix: Matrix<'blocks'>,
  x: Value,
): Value {
  const data = graph.weight(`${name}.data`, matrix.data);
  const scales = graph.weight(`${name}.scales`, matrix.scales);
  const zeroPoints = graph.weight(`${name}.zeros`, matrix.zeroPoints);
  return graph.node('MatMulNBits', [x, data, scales, zeroPoints], {
    ...ORT,
    attributes: { K: columns, N: out, bits: matrix.bits, block_size: QUANTIZATION_BLOCK, accuracy_level: 4 },
  });
}

/** x rounded row by row, multiplied in integers, scaled by output and by row. (ADR 14) */
function channelProduct(
  graph: Graph,
  { name, out }: LinearWeights,
  matrix: Matrix<'channels'>,
  x: Value,
): ScaledRows {
  const data = channels(graph, name, out, matrix);
  const scales = graph.weight(`${name}.scales_${matrix.skipped}`, matrix.scales);
  const rounded = roundRows(graph, x);
  return { rows: integerProduct(graph, rounded, data, scales), factor: rounded.largest };
}

/** The layer's own outputs: int8 [columns, out]. */
function channels(graph: Graph, name: string, out: number, { data, skipped }: Matrix<'channels'>): Value {
  const all = graph.weight(`${name}.data`, data);
  if (out === data.dims[1]) return all;
  return graph.node('Slice', [all, graph.ints([skipped]), graph.ints([skipped + out]), graph.ints([1])]);
}

/**
 * The same weights as blocks of 8 bits around 128, for providers without products of integers. All before the product is constant: the
 * runtime computes it once, when it loads the graph, so that the bundle holds these weights once.
 */
function byteProduct(
  graph: Graph,
  { name, out, columns }: LinearWeights,
  matrix: Matrix<'channels'>,
  x: Value,
): Value {
  const blocks = Math.ceil(columns / QUANTIZATION_BLOCK);
  const padding = graph.ints([0, 0, 0, blocks * QUANTIZATION_BLOCK - columns]);
  const rows = graph.node('Transpose', [channels(graph, name, out, matrix)], {
    attributes: { perm: [1, 0] },
  });
  const wrapped = graph.node('Cast', [graph.node('Pad', [rows, padding])], {
    attributes: { to: DATA_TYPE.uint8 },
  });
  // The sign bit turned adds 128: signed bytes become unsigned ones around 128.
  const bytes = graph.node('BitwiseXor', [wrapped, middle(graph)]);
  const scales = graph.reshape(graph.weight(`${name}.scales`, matrix.scales), [out, 1]);
  return graph.node(
    'MatMulNBits',
    [
      x,
      graph.reshape(bytes, [out, blocks, QUANTIZATION_BLOCK]),
      graph.reshape(graph.node('Expand', [scales, graph.ints([out, blocks])]), [-1]),
    ],
    {
      ...ORT,
      attributes: { K: columns, N: out, bits: 8, block_size: QUANTIZATION_BLOCK, accuracy_level: 4 },
    },
  );
}

/** RMS norm of x over its last axis, with a weight for all rows or one for each. (Zhang & Sennrich 2019, eq. 4) */
export const rmsNorm = (graph: Graph, x: Value, weight: Value, epsilon: number): Value =>
  graph.node('SimplifiedLayerNormalization', [x, weight], {
    attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
  });

/** One of a layer's norms. */
export type NormName = 'attentionNorm' | 'attentionOutNorm' | 'ffnNorm' | 'ffnOutNorm';

const NORM_WEIGHTS: Readonly<Record<NormName, string>> = {
  attentionNorm: 'attention_norm',
  attentionOutNorm: 'attention_out_norm',
  ffnNorm: 'ffn_norm',
  ffnOutNorm: 'ffn_out_norm',
};

/** RMS norm of x [N, hidden] by one of a layer's norm weights, each row by those of its depth where depths differ. */
export function normOfLayer(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  norm: NormName,
  x: Value,
  rows?: DepthRows,
): Value {
  const vector = layer[norm]!;
  const weight = vectorOf(graph, `layers.${layer.index}.${NORM_WEIGHTS[norm]}`, vector, rows);
  if (!isPerDepth(vector) || graph.integers) return rmsNorm(graph, x, weight, model.normEpsilon);
  // Devices norm all rows by one weight only.
  const ones = graph.floats('ones_hidden', new Float32Array(model.hidden).fill(1));
  return graph.node('Mul', [rmsNorm(graph, x, ones, model.normEpsilon), weight]);
}

/** Adds what a sublayer produced to the residual stream and norms the sum, in one kernel unless depths differ. */
export function addAndNorm(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  norm: NormName,
  { residual, delta }: { residual: Value; delta: Value },
  rows?: DepthRows,
): { normed: Value; sum: Value } {
  if (isPerDepth(layer[norm]!)) {
    // The fused kernel takes one weight for all rows.
    const sum = graph.node('Add', [residual, delta]);
    return { normed: normOfLayer(graph, model, layer, norm, sum, rows), sum };
  }
  const weight = vectorOf(graph, `layers.${layer.index}.${NORM_WEIGHTS[norm]}`, layer[norm]!);
  const [normed, , , sum] = graph.nodes('SkipSimplifiedLayerNormalization', [residual, delta, weight], 4, {
    ...ORT,
    attributes: { epsilon: { float: model.normEpsilon } },
  });
  return { normed: normed!, sum: sum! };
}

/** Queries, keys and values of a layer's normed input x [N, hidden], not yet rotated: [N, (heads + 2·kvHeads)·headDim]. */
export function projectQkv(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  x: Value,
  adapters?: LayerAdapters,
): Value {
  const qkv = linear(graph, layer.qkv, x, { adapters, as: 'qkv' });
  if (!layer.headNorms) return qkv;
  const { heads, kvHeads, headDim, normEpsilon } = model;
  const normedHeads = heads + kvHeads;
  const [queryKey, value] = graph.nodes(
    'Split',
    [qkv, graph.ints([normedHeads * headDim, kvHeads * headDim])],
    2,
    { attributes: { axis: 1 } },
  );
  const perHead = graph.reshape(queryKey!, [-1, normedHeads, headDim]);
  const ones = graph.floats('ones_head', new Float32Array(headDim).fill(1));
  const normed = rmsNorm(graph, perHead, ones, normEpsilon);
  const weight = vectorOf(graph, `layers.${layer.index}.head_norms`, layer.headNorms, adapters?.rows);
  const flat = graph.reshape(normed, [-1, normedHeads * headDim]);
  const scaled = graph.node('Mul', [flat, weight]);
  return graph.node('Concat', [scaled, value!], { attributes: { axis: 1 } });
}

/** What attention adds to the residual stream, from its heads' outputs [N, heads·headDim]. */
export function attentionDelta(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  attended: Value,
  adapters?: LayerAdapters,
): Value {
  const delta = linear(graph, layer.output, attended, { adapters, as: 'o' });
  return layer.attentionOutNorm
    ? normOfLayer(graph, model, layer, 'attentionOutNorm', delta, adapters?.rows)
    : delta;
}

/** What the feed-forward sublayer adds to the residual stream, from its normed input [N, hidden]. */
export function feedForwardDelta(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  x: Value,
  adapters?: LayerAdapters,
): Value {
  const delta = feedForward(graph, model, layer, x, adapters);
  return layer.ffnOutNorm ? normOfLayer(graph, model, layer, 'ffnOutNorm', delta, adapters?.rows) : delta;
}

/** down(act(gate(x)) · up(x)). (Shazeer 2020, GLU variants) */
function feedForward(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  x: Value,
  adapters?: LayerAdapters,
): Value {
  const outputs = gateAndUp(graph, layer.gateUp, x);
  const [gate, up] = (adapters ? adapters.adaptParts('gate_up', x, outputs) : outputs) as [
    ScaledRows,
    ScaledRows,
  ];
  const input = scaled(graph, gate);
  const active =
    model.activation === 'silu'
      ? graph.node('QuickGelu', [input], { ...ORT, attributes: { alpha: { float: 1 } } })
      : graph.node('Gelu', [input], { attributes: { approximate: 'tanh' } });
  // What rounding rows for `down` would divide out again is multiplied with behind it, where there are fewer columns. (ADR 14)
  const { rows, factor } = up;
  return linear(graph, layer.down, graph.node('Mul', [active, rows]), { adapters, as: 'down', factor });
}

/** Both outputs of the packed projection, each [N, ffn]. */
function gateAndUp(graph: Graph, packed: LinearWeights, x: Value): ScaledRows[] {
  if (packed.matrix.kind === 'channels' && graph.integers) {
    // One product would put them side by side, to be copied apart. (ADR 14)
    const half = packed.out / 2;
    return [rowsFrom(packed, 0, half), rowsFrom(packed, half)].map((part) => product(graph, part, x));
  }
  const halves = { attributes: { axis: 1, num_outputs: 2 } };
  return graph
    .nodes('Split', [scaled(graph, product(graph, packed, x))], 2, halves)
    .map((rows) => ({ rows, factor: undefined }));
}

/** Embedding of ids [N]: [N, hidden]. */
export function embed(graph: Graph, { model, weights }: GraphOptions, ids: Value): Value {
  const embedded = graph.node('Gather', [graph.weight('embedding', weights.embedding), ids]);
  if (model.embeddingScale === 1) return embedded;
  return graph.node('Mul', [embedded, graph.floats('embedding_scale', [model.embeddingScale], [])]);
}
