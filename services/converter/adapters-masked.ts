import type { PackedFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import type { Value } from './graph.ts';

/**
 * All depths' factors side by side in one matrix; between A and B a mask leaves of each row what belongs to its depth.
 * Few and large products, D times the arithmetic.
 */
export function addMasked(
  rows: DepthRows,
  { name, a, parts }: PackedFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph, depths } = rows;
  const [, ranks = 0, columns = 0] = a.dims;
  const down = graph.weight(`${name}.a`, { ...a, dims: [depths * ranks, columns] });
  const wide = graph.node('Gemm', [x, down], { attributes: { transB: 1 } });
  const low = graph.node('Mul', [wide, rows.mask(ranks)]);
  const lows =
    parts.length === 1
      ? [low]
      : graph
          .nodes(
            'Split',
            [graph.reshape(low, [-1, depths, ranks]), graph.ints(parts.map(({ rank }) => rank))],
            parts.length,
            { attributes: { axis: 2 } },
          )
          .map((part, at) => graph.reshape(part, [-1, depths * parts[at]!.rank]));
  return parts.map(({ target, rank, b }, at) => {
    const up = graph.weight(`${name}.b.${target}`, { ...b, dims: [depths * rank, b.dims[2]!] });
    return graph.node('Gemm', [lows[at]!, up, ...(outputs ? [outputs[at]!] : [])]);
  });
}
