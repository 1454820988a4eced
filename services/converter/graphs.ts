import type { ModelSpec } from './checkpoint.ts';
import { Graph, type Value } from './graph.ts';
import { declareStackInputs, layerStack, linear, rmsNorm, type StackOptions } from './layer-stack.ts';
import type { LoopPlan } from './loop-plan.ts';
import type { ModelWeights } from './model-weights.ts';

interface GraphOptions {
  readonly model: ModelSpec;
  readonly weights: ModelWeights;
  readonly plan: LoopPlan;
  readonly pagePositions: number;
}

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
  const { model, weights, plan } = options;
  const graph = new Graph('prelude');
  const ids = graph.input('token_ids', 'int64', ['B', 'T']);
  const embedded = graph.node('Gather', [
    graph.weight('embedding', weights.embedding),
    graph.reshape(ids, [-1]),
  ]);
  const scale = () =>
    graph.node('Mul', [embedded, graph.floats('embedding_scale', [model.embeddingScale], [])]);
  const state = model.embeddingScale === 1 ? embedded : scale();
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

/**
 * One pass: state [N, hidden] → state_out, with damping (h ← h + α·(block(h) − h), arXiv 2605.23872) and, where the
 * model has it, the norm after every pass inside, so that every pass is the same call. Puts out latent_diff [N]
 * (‖h' − h‖ / ‖h'‖) and, for gated models, gate [N].
 */
export function blockGraph(options: GraphOptions): Uint8Array {
  const { model, weights, plan } = options;
  const graph = new Graph('block');
  const state = graph.input('state', 'float32', ['N', model.hidden]);
  // One depth per chunk; graphs with per-depth adapters read it.
  graph.input('depths', 'int64', ['B']);
  const stack = select(options, plan.block);
  const result = layerStack(graph, declareStackInputs(graph, stack), stack, state);
  let next = result.state;
  if (plan.normAfterPass) {
    next = rmsNorm(graph, next, graph.weight('final_norm', weights.finalNorm), model.normEpsilon);
  }
  if (plan.damping !== 1) {
    const step = graph.node('Mul', [
      graph.node('Sub', [next, state]),
      graph.floats('damping', [plan.damping], []),
    ]);
    next = graph.node('Add', [state, step]);
  }
  putState(graph, 'state_out', next, model.hidden);
  putKv(graph, result.newKv, stack);
  const norm = (value: Value) =>
    graph.node('ReduceL2', [value, graph.ints([1])], { attributes: { keepdims: 0 } });
  const change = norm(graph.node('Sub', [next, state]));
  graph.output('latent_diff', graph.node('Div', [change, norm(next)]), 'float32', ['N']);
  if (weights.exitGate) {
    const weight = graph.floats('gate.weight', weights.exitGate.weight, [1, model.hidden]);
    const bias = graph.floats('gate.bias', [weights.exitGate.bias]);
    const logit = graph.node('Gemm', [next, weight, bias], { attributes: { transB: 1 } });
    graph.output('gate', graph.reshape(graph.node('Sigmoid', [logit]), [-1]), 'float32', ['N']);
  }
  return graph.encode();
}

/** state [N, hidden] → the unlooped layers after the loop → state_out [N, hidden]. */
export function codaGraph(options: GraphOptions): Uint8Array {
  const { model, plan } = options;
  const graph = new Graph('coda');
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
  const graph = new Graph('head');
  const state = graph.input('state', 'float32', ['N', model.hidden]);
  const normed = plan.normAfterPass
    ? state
    : rmsNorm(graph, state, graph.weight('final_norm', weights.finalNorm), model.normEpsilon);
  const logits = linear(graph, weights.head, normed);
  const [top, ids] = graph.nodes('TopK', [logits, graph.ints([candidates])], 2, { attributes: { axis: -1 } });
  const logSumExp = graph.node('ReduceLogSumExp', [logits, graph.ints([1])], { attributes: { keepdims: 0 } });
  graph.output('top_logits', top!, 'float32', ['N', candidates]);
  graph.output('top_ids', graph.node('Cast', [ids!], { attributes: { to: 6 } }), 'int32', ['N', candidates]);
  graph.output('log_sum_exp', logSumExp, 'float32', ['N']);
  graph.output('logits', logits, 'float32', ['N', model.vocab]);
  return graph.encode();
}
