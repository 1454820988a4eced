import { concatenated } from '@rondo/core';
import type { AdapterTarget, PlainFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import { turnedB } from './factor-layout.ts';
import type { Value, WeightRef } from './graph.ts';
import type { WeightsFile } from './weights-file.ts';

/** Matrices of each depth apart, of the ranks that this depth needs. */
export interface GroupedFactors {
  readonly kind: 'grouped';
  readonly name: string;
  readonly depths: readonly {
    /** [Σr, in], all parts' A one under the other. */
    readonly a: WeightRef;
    readonly parts: readonly {
      readonly target: AdapterTarget;
      readonly rank: number;
      /** Bᵀ: [r, out] */
      readonly b: WeightRef;
    }[];
  }[];
}

export async function storeGrouped(
  { name, columns, parts }: PlainFactors,
  file: WeightsFile,
): Promise<GroupedFactors> {
  const depths: GroupedFactors['depths'][number][] = [];
  for (const depth of parts[0]!.factors.keys()) {
    const a = concatenated(parts.map(({ factors }) => factors[depth]!.a));
    const aRef = await file.append(a, [a.length / columns, columns]);
    const stored: GroupedFactors['depths'][number]['parts'][number][] = [];
    for (const { target, out, factors } of parts) {
      const { rank } = factors[depth]!;
      stored.push({ target, rank, b: await file.append(turnedB(factors[depth]!, rank), [rank, out]) });
    }
    depths.push({ a: aRef, parts: stored });
  }
  return { kind: 'grouped', name, depths };
}

/**
 * Rows cut into one group a depth, each multiplied with its own factors, then put together again: no product is
 * computed in vain, at the price of D small products for each linear. A group may be empty.
 */
export function addGrouped(
  rows: DepthRows,
  { name, depths }: GroupedFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph } = rows;
  const deltas: Value[][] = depths[0]!.parts.map(() => []);
  for (const [depth, group] of rows.groups(x).entries()) {
    const { a, parts } = depths[depth]!;
    const low = graph.node('Gemm', [group, graph.weight(`${name}.a.${depth}`, a)], {
      attributes: { transB: 1 },
    });
    const lows =
      parts.length === 1
        ? [low]
        : graph.nodes('Split', [low, graph.ints(parts.map(({ rank }) => rank))], parts.length, {
            attributes: { axis: 1 },
          });
    for (const [at, { target, b }] of parts.entries()) {
      const up = graph.weight(`${name}.b.${target}.${depth}`, b);
      deltas[at]!.push(graph.node('Gemm', [lows[at]!, up]));
    }
  }
  return deltas.map((groups, at) => {
    const delta = graph.node('Concat', groups, { attributes: { axis: 0 } });
    return outputs ? graph.node('Add', [outputs[at]!, delta]) : delta;
  });
}
