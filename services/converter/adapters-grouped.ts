import type { PackedFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import type { Value, WeightRef } from './graph.ts';

/**
 * Rows cut into one group a depth, each multiplied with its own factors, then put together again: no product is
 * computed in vain, at the price of D small products for each linear. A group may be empty.
 */
export function addGrouped(
  rows: DepthRows,
  { name, a, parts }: PackedFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph } = rows;
  const deltas: Value[][] = parts.map(() => []);
  for (const [depth, group] of rows.groups(x).entries()) {
    const weight = graph.weight(`${name}.a.${depth}`, atDepth(a, depth));
    const low = graph.node('Gemm', [group, weight], { attributes: { transB: 1 } });
    const lows =
      parts.length === 1
        ? [low]
        : graph.nodes('Split', [low, graph.ints(parts.map(({ rank }) => rank))], parts.length, {
            attributes: { axis: 1 },
          });
    for (const [at, { target, b }] of parts.entries()) {
      const up = graph.weight(`${name}.b.${target}.${depth}`, atDepth(b, depth));
      deltas[at]!.push(graph.node('Gemm', [lows[at]!, up]));
    }
  }
  return deltas.map((groups, at) => {
    const delta = graph.node('Concat', groups, { attributes: { axis: 0 } });
    return outputs ? graph.node('Add', [outputs[at]!, delta]) : delta;
  });
}

/** The matrix of one depth out of [D, rows, columns]. */
function atDepth({ dims, offset, bytes, ...ref }: WeightRef, depth: number): WeightRef {
  const part = bytes / dims[0]!;
  return { ...ref, dims: dims.slice(1), offset: offset + depth * part, bytes: part };
}
