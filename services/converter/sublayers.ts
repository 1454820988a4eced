import type { LayerAdapters } from './adapters.ts';
import type { ModelSpec } from './checkpoint.ts';
import { type Graph, ORT, type Value } from './graph.ts';
import type { GraphOptions } from './graph-options.ts';
import { integerProduct, roundRows } from './integer-product.ts';
import type { LayerWeights, LinearWeights } from './model-weights.ts';
import { QUANTIZATION_BLOCK } from './quantize.ts';

/** y = x·Wᵀ + b for x [N, in], with f32 or quantised weights. */
export function linear(graph: Graph, weights: LinearWeights, x: Value): Value {
  const { name, matrix } = weights;
  const bias = weights.bias && graph.weight(`${name}.bias`, weights.bias);
  if (matrix.kind === 'dense') {
    return graph.node('Gemm', [x, graph.weight(`${name}.weight`, matrix.weight), ...(bias ? [bias] : [])], {
      attributes: { transB: 1 },
    });
  }
  const product =
    matrix.kind === 'blocks'
      ? blockProduct(graph, weights, matrix, x)
      : channelProduct(graph, name, matrix, x);
  return bias ? graph.node('Add', [product, bias]) : product;
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
function channelProduct(graph: Graph, name: string, matrix: Matrix<'channels'>, x: Value): Value {
  const all = graph.weight(`${name}.data`, matrix.data);
  const data =
    matrix.skipped === 0
      ? all
      : graph.node('Slice', [
          all,
          graph.ints([matrix.skipped]),
          graph.ints([matrix.data.dims[1]!]),
          graph.ints([1]),
        ]);
  const scales = graph.weight(`${name}.scales`, matrix.scales);
  const rounded = roundRows(graph, x);
  return graph.node('Mul', [integerProduct(graph, rounded, data, scales), rounded.largest]);
}

/** RMS norm of x over its last axis. (Zhang & Sennrich 2019, eq. 4) */
export const rmsNorm = (graph: Graph, x: Value, weight: Value, epsilon: number): Value =>
  graph.node('SimplifiedLayerNormalization', [x, weight], {
    attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
  });

/** Adds what a sublayer produced to the residual stream and norms the sum, in one kernel. */
export function addAndNorm(
  graph: Graph,
  residual: Value,
  delta: Value,
  weight: Value,
  epsilon: number,
): { normed: Value; sum: Value } {
  const [normed, , , sum] = graph.nodes('SkipSimplifiedLayerNormalization', [residual, delta, weight], 4, {
    ...ORT,
    attributes: { epsilon: { float: epsilon } },
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
  const projected = linear(graph, layer.qkv, x);
  const qkv = adapters ? adapters.adaptWhole('qkv', x, projected) : projected;
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
  const weight = graph.floats(`layers.${layer.index}.head_norms`, layer.headNorms, [normedHeads, headDim]);
  const scaled = graph.reshape(graph.node('Mul', [normed, weight]), [-1, normedHeads * headDim]);
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
  const output = linear(graph, layer.output, attended);
  const delta = adapters ? adapters.adaptWhole('o', attended, output) : output;
  if (!layer.attentionOutNorm) return delta;
  const weight = graph.weight(`layers.${layer.index}.attention_out_norm`, layer.attentionOutNorm);
  return rmsNorm(graph, delta, weight, model.normEpsilon);
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
  if (!layer.ffnOutNorm) return delta;
  const weight = graph.weight(`layers.${layer.index}.ffn_out_norm`, layer.ffnOutNorm);
  return rmsNorm(graph, delta, weight, model.normEpsilon);
}

/** down(act(gate(x)) · up(x)). (Shazeer 2020, GLU variants) */
function feedForward(
  graph: Graph,
  model: ModelSpec,
  layer: LayerWeights,
  x: Value,
  adapters?: LayerAdapters,
): Value {
  const packed = graph.nodes('Split', [linear(graph, layer.gateUp, x)], 2, {
    attributes: { axis: 1, num_outputs: 2 },
  });
  const [gate, up] = adapters ? adapters.adaptParts('gate_up', x, packed) : packed;
  const active =
    model.activation === 'silu'
      ? graph.node('QuickGelu', [gate!], { ...ORT, attributes: { alpha: { float: 1 } } })
      : graph.node('Gelu', [gate!], { attributes: { approximate: 'tanh' } });
  const product = graph.node('Mul', [active, up!]);
  const output = linear(graph, layer.down, product);
  return adapters ? adapters.adaptWhole('down', product, output) : output;
}

/** Embedding of ids [N]: [N, hidden]. */
export function embed(graph: Graph, { model, weights }: GraphOptions, ids: Value): Value {
  const embedded = graph.node('Gather', [graph.weight('embedding', weights.embedding), ids]);
  if (model.embeddingScale === 1) return embedded;
  return graph.node('Mul', [embedded, graph.floats('embedding_scale', [model.embeddingScale], [])]);
}
