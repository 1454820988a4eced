import type { Stack } from '@rondo/bundle';
import { Adapters } from './adapters.ts';
import { Graph, type Value } from './graph.ts';
import { type GraphOptions, graphsVaryByDepth } from './graph-options.ts';
import { type LayerWeights, rowsFrom, valuesFrom } from './model-weights.ts';
import { endPass } from './pass-end.ts';
import { addAndNorm, attentionDelta, embed, feedForwardDelta, normOfLayer, projectQkv } from './sublayers.ts';

/**
 * A stack cut at its attentions, for engines that attend over pages outside the graph runtime: segment 0 ends with the
 * first layer's queries, keys and values, segment i holds what lies between attention i − 1 and attention i, the last one
 * ends with the stack's state. Rows are flat: [N, …], whatever sequences and depths they belong to.
 */
export function segmentGraphs(options: GraphOptions, stack: Stack): Uint8Array[] {
  const layers = options.plan[stack].map((index) => options.weights.layers[index]!);
  return Array.from({ length: layers.length + 1 }, (_, index) => segment(options, stack, layers, index));
}

function segment(
  options: GraphOptions,
  stack: Stack,
  layers: readonly LayerWeights[],
  index: number,
): Uint8Array {
  const { model } = options;
  const graph = new Graph(`${stack}.${index}`, options);
  const [before, after] = [layers[index - 1], layers[index]];
  const entry = !before || (stack === 'block' && !after) ? stackInput(graph, options, stack) : undefined;
  // Every segment of the block declares the rows' depths, whether or not its own linears are adapted.
  const adapters =
    stack === 'block' && graphsVaryByDepth(options)
      ? new Adapters(graph, model, options.plan.maxDepth, options.adapters)
      : undefined;
  const flow = before ? throughFeedForward(graph, options, before, adapters) : { residual: entry! };
  if (!after) {
    const state = flow.delta ? graph.node('Add', [flow.residual, flow.delta]) : flow.residual;
    if (stack === 'block') endPass(graph, options, entry!, state);
    else graph.output('state_out', state, 'float32', ['N', model.hidden]);
    return graph.encode();
  }
  const { residual, delta } = flow;
  const rows = adapters?.ofLayer(after.index).rows;
  const { normed, sum } = delta
    ? addAndNorm(graph, model, after, 'attentionNorm', { residual, delta }, rows)
    : { normed: normOfLayer(graph, model, after, 'attentionNorm', residual, rows), sum: residual };
  const qkvSize = (model.heads + 2 * model.kvHeads) * model.headDim;
  const qkv = projectQkv(graph, model, after, normed, adapters?.ofLayer(after.index));
  graph.output('qkv', qkv, 'float32', ['N', qkvSize]);
  // Where the residual stream is still what came in, whoever runs the segment has it already.
  if (before || stack === 'prelude') graph.output('residual_out', sum, 'float32', ['N', model.hidden]);
  return graph.encode();
}

function stackInput(graph: Graph, options: GraphOptions, stack: Stack): Value {
  if (stack !== 'prelude') return graph.input('state', 'float32', ['N', options.model.hidden]);
  return embed(graph, options, graph.input('token_ids', 'int64', ['N']));
}

/** From attention's heads to what the feed-forward sublayer adds. */
function throughFeedForward(
  graph: Graph,
  { model }: GraphOptions,
  layer: LayerWeights,
  adapters: Adapters | undefined,
): { residual: Value; delta?: Value } {
  const layerAdapters = adapters?.ofLayer(layer.index);
  const residual = graph.input('residual', 'float32', ['N', model.hidden]);
  const attended = graph.input('attended', 'float32', ['N', model.heads * model.headDim]);
  const delta = attentionDelta(graph, model, layer, attended, layerAdapters);
  const rows = layerAdapters?.rows;
  const { normed, sum } = addAndNorm(graph, model, layer, 'ffnNorm', { residual, delta }, rows);
  return { residual: sum, delta: feedForwardDelta(graph, model, layer, normed, layerAdapters) };
}

/**
 * state [N, hidden] of rows that left the loop → for every layer of the block the keys and values that a pass over this
 * state would begin with, `kv_i` [N, 2·kvHeads·headDim], not yet rotated: kvPolicy `propagate`. (CALM, Schuster et al.
 * 2022, §3.3, state propagation)
 */
export function propagateGraph(options: GraphOptions): Uint8Array {
  const { model, plan, weights } = options;
  const graph = new Graph('propagate');
  const state = graph.input('state', 'float32', ['N', model.hidden]);
  for (const [slot, index] of plan.block.entries()) {
    const layer = weights.layers[index]!;
    const normed = normOfLayer(graph, model, layer, 'attentionNorm', state);
    const queries = model.heads * model.headDim;
    const kvLayer = {
      ...layer,
      qkv: rowsFrom(layer.qkv, queries),
      ...(layer.headNorms && { headNorms: valuesFrom(layer.headNorms, queries) }),
    };
    const kv = projectQkv(graph, { ...model, heads: 0 }, kvLayer, normed);
    graph.output(`kv_${slot}`, kv, 'float32', ['N', 2 * model.kvHeads * model.headDim]);
  }
  return graph.encode();
}
