import { concatenated } from '@rondo/core';
import type { AdapterTarget, PlainFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import { turnedB } from './factor-layout.ts';
import type { Value, WeightRef } from './graph.ts';
import type { WeightsFile } from './weights-file.ts';

/** All depths' matrices as one, their ranks in order of part, depth and rank. */
export interface MaskedFactors {
  readonly kind: 'masked';
  readonly name: string;
  /** [Σr, in] */
  readonly a: WeightRef;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    /** By depth. */
    readonly ranks: readonly number[];
    /** Bᵀ: [Σ ranks, out] */
    readonly b: WeightRef;
  }[];
}

export async function storeMasked(
  { name, columns, parts }: PlainFactors,
  file: WeightsFile,
): Promise<MaskedFactors> {
  const a = concatenated(parts.flatMap(({ factors }) => factors.map((one) => one.a)));
  const aRef = await file.append(a, [a.length / columns, columns]);
  const stored: MaskedFactors['parts'][number][] = [];
  for (const { target, out, factors } of parts) {
    const b = concatenated(factors.map((one) => turnedB(one, one.rank)));
    const ranks = factors.map(({ rank }) => rank);
    stored.push({ target, ranks, b: await file.append(b, [b.length / out, out]) });
  }
  return { kind: 'masked', name, a: aRef, parts: stored };
}

/**
 * All depths' factors side by side in one matrix; between A and B a mask leaves of each row what belongs to its depth.
 * Few and large products, D times the arithmetic.
 */
export function addMasked(
  rows: DepthRows,
  { name, a, parts }: MaskedFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph } = rows;
  const wide = graph.node('Gemm', [x, graph.weight(`${name}.a`, a)], { attributes: { transB: 1 } });
  const low = graph.node('Mul', [wide, rows.mask(parts.map(({ ranks }) => ranks))]);
  const widths = parts.map(({ b }) => b.dims[0]!);
  const lows =
    parts.length === 1
      ? [low]
      : graph.nodes('Split', [low, graph.ints(widths)], parts.length, { attributes: { axis: 1 } });
  return parts.map(({ target, b }, at) => {
    const up = graph.weight(`${name}.b.${target}`, b);
    return graph.node('Gemm', [lows[at]!, up, ...(outputs ? [outputs[at]!] : [])]);
  });
}
