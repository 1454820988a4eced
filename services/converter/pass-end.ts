import type { Graph, Value } from './graph.ts';
import type { GraphOptions } from './graph-options.ts';
import { rmsNorm } from './sublayers.ts';

/**
 * Ends a pass from `before` to `after` with all that a model does between passes, so that every pass is the same call:
 * the norm after every pass where the model has it, and damping (h ← h + α·(block(h) − h), arXiv 2605.23872). Puts out
 * state_out, latent_diff [N] (‖h' − h‖ / ‖h'‖) and, for gated models, gate [N].
 */
export function endPass(
  graph: Graph,
  { model, plan, weights }: GraphOptions,
  before: Value,
  after: Value,
): void {
  let next = after;
  if (plan.normAfterPass) {
    next = rmsNorm(graph, next, graph.weight('final_norm', weights.finalNorm), model.normEpsilon);
  }
  if (plan.damping !== 1) {
    const step = graph.node('Mul', [
      graph.node('Sub', [next, before]),
      graph.floats('damping', [plan.damping], []),
    ]);
    next = graph.node('Add', [before, step]);
  }
  graph.output('state_out', next, 'float32', ['N', model.hidden]);
  const norm = (value: Value) =>
    graph.node('ReduceL2', [value, graph.ints([1])], { attributes: { keepdims: 0 } });
  const change = norm(graph.node('Sub', [next, before]));
  graph.output('latent_diff', graph.node('Div', [change, norm(next)]), 'float32', ['N']);
  if (weights.exitGate) {
    const weight = graph.floats('gate.weight', weights.exitGate.weight, [1, model.hidden]);
    const bias = graph.floats('gate.bias', [weights.exitGate.bias]);
    const logit = graph.node('Gemm', [next, weight, bias], { attributes: { transB: 1 } });
    graph.output('gate', graph.reshape(graph.node('Sigmoid', [logit]), [-1]), 'float32', ['N']);
  }
}
