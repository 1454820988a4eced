import { type Graph, ORT, type Value } from './graph.ts';

/** Rows of bytes around 128. */
export interface Bytes {
  /** uint8, like x. */
  readonly bytes: Value;
  /** What a byte of 1 stands for: for all, [N, 1] for each row, or [N, out] for each value of a product. */
  readonly step: Value;
}

/** Rows of bytes and what each was divided by. */
export interface RoundedRows extends Bytes {
  /** [N, 1] */
  readonly largest: Value;
}

/** What a byte of 1 is of its row's largest value. */
export const ROW_STEP = 1 / 127;

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
  const step = graph.floats('one_127th', [ROW_STEP], []);
  const bytes = graph.node('QuantizeLinear', [graph.node('Div', [x, largest]), step, middle(graph)]);
  const rounded = { bytes, step, largest };
  ofGraph.set(x, rounded);
  return rounded;
}

/**
 * Each row of x [N, width] is rounded to 8 bits by its own length, in two operators instead of four. A value has the bits that it
 * would have by the row's largest where one value makes the row, and two less where all are alike.
 */
export function roundByLength(graph: Graph, x: Value, width: number): Bytes {
  const ones = graph.floats(`ones_${width}`, new Float32Array(width).fill(1));
  // The mean of squares of a row is 1, so no value is above √width.
  const [normed, inverse] = graph.nodes('SimplifiedLayerNormalization', [x, ones], 2, {
    attributes: { axis: -1, epsilon: { float: NO_ZERO }, stash_type: 1 },
  });
  const step = graph.floats(`length_127th_${width}`, [Math.sqrt(width) / 127], []);
  const bytes = graph.node('QuantizeLinear', [normed!, step, middle(graph)]);
  return { bytes, step: graph.node('Div', [step, inverse!]) };
}

/** Keeps a row of zeros from being divided by zero, and is nothing beside any other. */
const NO_ZERO = 1e-20;

/**
 * The rows' bytes times `data` [in, out], exact in integers, scaled by `scales` [out] and `step` but not yet by what rows were
 * divided by. A step that is not the same for all is multiplied with inside the operator, on one thread, where a turn of the
 * graph for it would take as long as a small product.
 */
export const integerProduct = (graph: Graph, { bytes, step }: Bytes, data: Value, scales: Value): Value =>
  graph.node('MatMulIntegerToFloat', [bytes, data, step, scales, middle(graph)], ORT);

/** What bytes of rows are around. */
export const middle = (graph: Graph): Value => graph.bytes('middle', 128);

/** Rows [N, …] that are yet to be multiplied each by its `factor` [N, 1], where there is one. */
export interface ScaledRows {
  readonly rows: Value;
  readonly factor: Value | undefined;
}

/** The same with another factor besides. */
export const withFactor = (
  graph: Graph,
  { rows, factor }: ScaledRows,
  other: Value | undefined,
): ScaledRows => ({
  rows,
  factor: factor && other ? graph.node('Mul', [factor, other]) : (factor ?? other),
});

export const scaled = (graph: Graph, { rows, factor }: ScaledRows): Value =>
  factor === undefined ? rows : graph.node('Mul', [rows, factor]);
