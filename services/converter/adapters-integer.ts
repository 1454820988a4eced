import type { IntegerFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import type { Value } from './graph.ts';
import { integerProduct, roundRows } from './integer-product.ts';

/**
 * As `addMasked`, with factors rounded to seven bits and the base's own rounding of x: integer products cost little
 * arithmetic, so D times of it is less than the operators that would save it.
 */
export function addInteger(
  rows: DepthRows,
  { name, a, parts }: IntegerFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph } = rows;
  const input = roundRows(graph, x);
  const wide = integerProduct(
    graph,
    input,
    graph.weight(`${name}.a`, a.data),
    graph.weight(`${name}.a.scales`, a.scales),
  );
  const low = graph.node('Mul', [wide, rows.maskOf(parts.map(({ rank }) => rank))]);
  // Parts share a row's rounding: few operators matter more here than the last bit.
  const { bytes, largest } = roundRows(graph, low);
  const scale = graph.node('Mul', [largest, input.largest]);
  const widths = parts.map(({ rank }) => rows.depths * rank);
  const lows =
    parts.length === 1
      ? [bytes]
      : graph.nodes('Split', [bytes, graph.ints(widths)], parts.length, { attributes: { axis: 1 } });
  const products = parts.map(({ target, b }, at) => {
    const up = graph.weight(`${name}.b.${target}`, b.data);
    const scales = graph.weight(`${name}.b.${target}.scales`, b.scales);
    return integerProduct(graph, { bytes: lows[at]!, largest }, up, scales);
  });
  return products.map((product, at) => {
    const delta = graph.node('Mul', [product, scale]);
    return outputs ? graph.node('Add', [outputs[at]!, delta]) : delta;
  });
}
