import { type Graph, ORT, type Value } from './graph.ts';

/** Rows of bytes around 128 and what each was divided by. */
export interface RoundedRows {
  /** uint8, like x. */
  readonly bytes: Value;
  /** [N, 1] */
  readonly largest: Value;
}

const known = new WeakMap<Graph, Map<Value, RoundedRows>>();

/**
 * Each row of x [N, in] is rounded to 8 bits by its own largest value, so that no row depends on another. Products that
 * share x share its rounding. (Dettmers et al. 2022, LLM.int8(), §2.1, vector-wise quantisation)
 */
export function roundRows(graph: Graph, x: Value): RoundedRows {
  const ofGraph = known.get(graph) ?? new Map<Value, RoundedRows>();
  known.set(graph, ofGraph);
  const before = ofGraph.get(x);
  if (before) return before;
  const largest = graph.node('ReduceMax', [graph.node('Abs', [x]), graph.ints([1])], {
    attributes: { keepdims: 1 },
  });
  // A row of zeros becomes 0/0, which rounds to some byte, and the product with its largest value is 0 again.
  // Unsigned around 128: the processors' instructions multiply unsigned by signed bytes.
  const bytes = graph.node('QuantizeLinear', [graph.node('Div', [x, largest]), step(graph), middle(graph)]);
  const rounded = { bytes, largest };
  ofGraph.set(x, rounded);
  return rounded;
}

/** The rows' bytes times `data` [in, out], exact in integers, scaled by `scales` [out] but not yet by the rows' largest. */
export const integerProduct = (graph: Graph, { bytes }: RoundedRows, data: Value, scales: Value): Value =>
  graph.node('MatMulIntegerToFloat', [bytes, data, step(graph), scales, middle(graph)], ORT);

const step = (graph: Graph): Value => graph.floats('one_127th', [1 / 127], []);
const middle = (graph: Graph): Value => graph.bytes('middle', 128);
