import type { PackedFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import type { Value } from './graph.ts';

/** Every row gets a copy of its depth's factors and is multiplied with them alone. */
export function addGathered(
  rows: DepthRows,
  { name, a, parts }: PackedFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph } = rows;
  const [, ranks = 0, columns = 0] = a.dims;
  const ofRow = (table: Value) => graph.node('Gather', [table, rows.depthOfRow()]);
  const low = graph.reshape(
    graph.node('MatMul', [ofRow(graph.weight(`${name}.a`, a)), graph.reshape(x, [-1, columns, 1])]),
    [-1, 1, ranks],
  );
  const lows =
    parts.length === 1
      ? [low]
      : graph.nodes('Split', [low, graph.ints(parts.map(({ rank }) => rank))], parts.length, {
          attributes: { axis: 2 },
        });
  return parts.map(({ target, b }, at) => {
    const up = ofRow(graph.weight(`${name}.b.${target}`, b));
    const delta = graph.reshape(graph.node('MatMul', [lows[at]!, up]), [-1, b.dims[2]!]);
    return outputs ? graph.node('Add', [outputs[at]!, delta]) : delta;
  });
}
