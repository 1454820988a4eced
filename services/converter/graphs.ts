import { Adapters } from './adapters.ts';
import { Graph, type Value } from './graph.ts';
import { type GraphOptions, graphsVaryByDepth } from './graph-options.ts';
import { declareStackInputs, layerStack, type StackOptions } from './layer-stack.ts';
import { endPass } from './pass-end.ts';
import { embed, linear, rmsNorm } from './sublayers.ts';

const select = (options: GraphOptions, indices: readonly number[]): StackOptions => ({
  model: options.model,
  pagePositions: options.pagePositions,
  layers: indices.map((index) => options.weights.layers[index]!),
});

function putState(graph: Graph, name: string, state: Value, hidden: number): void {
  graph.output(name, state, 'float32', ['N', hidden]);
}

function putKv(graph: Graph, newKv: Value, { model, layers }: StackOptions): void {
  graph.output('new_kv', newKv, 'float32', [layers.length * 2, 'B', model.kvHeads, 'T', model.headDim]);
}

/** token_ids [B, T] → embedding → the unlooped layers before the loop → state [N, hidden]. */
export function preludeGraph(options: GraphOptions): Uint8Array {
  const { model, plan } = options;
  const graph = new Graph('prelude', options);
  const ids = graph.input('token_ids', 'int64', ['B', 'T']);
  const state = embed(graph, options, graph.reshape(ids, [-1]));
  if (plan.prelude.length === 0) {
    putState(graph, 'state_out', state, model.hidden);
    return graph.encode();
  }
  const stack = select(options, plan.prelude);
  const result = layerStack(graph, declareStackInputs(graph, stack), stack, state);
  putState(graph, 'state_out', result.state, model.hidden);
  putKv(graph, result.newKv, stack);
  return graph.encode();
}

/** One pass: state [N, hidden] → state_out and what `endPass` puts out beside it. Where depths differ, rows that pad a chunk count with it. */
export function blockGraph(options: GraphOptions): Uint8Array {
  const { model, plan } = options;
  const graph = new Graph('block', options);
  const state = graph.input('state', 'float32', ['N', model.hidden]);
  const adapters = graphsVaryByDepth(options)
    ? new Adapters(graph, model, plan.maxDepth, options.adapters)
    : undefined;
  const stack = { ...select(options, plan.block), adapters };
  const result = layerStack(graph, declareStackInputs(graph, stack), stack, state);
  putKv(graph, result.newKv, stack);
  endPass(graph, options, state, result.state);
  return graph.encode();
}

/** state [N, hidden] → the unlooped layers after the loop → state_out [N, hidden]. */
export function codaGraph(options: GraphOptions): Uint8Array {
  const { model, plan } = options;
  const graph = new Graph('coda', options);
  const state = graph.input('state', 'float32', ['N', model.hidden]);
  const stack = select(options, plan.coda);
  const result = layerStack(graph, declareStackInputs(graph, stack), stack, state);
  putState(graph, 'state_out', result.state, model.hidden);
  putKv(graph, result.newKv, stack);
  return graph.encode();
}

/** state [N, hidden] → final norm → logits [N, vocab], their `candidates` largest and log Σ exp. */
export function headGraph(options: GraphOptions, candidates: number): Uint8Array {
  const { model, weights, plan } = options;
  const graph = new Graph('head', options);
  const state = graph.input('state', 'float32', ['N', model.hidden]);
  const normed = plan.normAfterPass
    ? state
    : rmsNorm(graph, state, graph.weight('final_norm', weights.finalNorm), model.normEpsilon);
  const logits = linear(graph, weights.head, normed);
  const [top, ids] = graph.nodes('TopK', [logits, graph.ints([candidates])], 2, { attributes: { axis: -1 } });
  // log Σ exp(l) = l − log softmax(l) for any l, and softmax runs in vectors on all threads where ReduceLogSumExp does not.
  const probabilities = graph.node('Softmax', [logits], { attributes: { axis: -1 } });
  const likeliest = (values: Value) =>
    graph.node('Slice', [values, graph.ints([0]), graph.ints([1]), graph.ints([1])]);
  const probability = graph.node('GatherElements', [probabilities, likeliest(ids!)], {
    attributes: { axis: 1 },
  });
  const logSumExp = graph.reshape(
    graph.node('Sub', [likeliest(top!), graph.node('Log', [probability])]),
    [-1],
  );
  graph.output('top_logits', top!, 'float32', ['N', candidates]);
  graph.output('top_ids', graph.node('Cast', [ids!], { attributes: { to: 6 } }), 'int32', ['N', candidates]);
  graph.output('log_sum_exp', logSumExp, 'float32', ['N']);
  graph.output('logits', logits, 'float32', ['N', model.vocab]);
  return graph.encode();
}
