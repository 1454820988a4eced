import { concatenated } from '@rondo/core';
import type { AdapterTarget, PlainFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import { turnedB } from './factor-layout.ts';
import type { Value, WeightRef } from './graph.ts';
import type { WeightsFile } from './weights-file.ts';

/** One matrix a depth in one tensor: what is taken for a row must be of one size, so lower ranks are padded with zeros. */
export interface GatheredFactors {
  readonly kind: 'gathered';
  readonly name: string;
  /** [D, Σr, in] */
  readonly a: WeightRef;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    /** Of the depth that needs most. */
    readonly rank: number;
    /** Bᵀ: [D, r, out] */
    readonly b: WeightRef;
  }[];
}

export async function storeGathered(
  { name, columns, parts }: PlainFactors,
  file: WeightsFile,
): Promise<GatheredFactors> {
  const depths = parts[0]!.factors.length;
  const ranks = parts.map(({ factors }) => Math.max(...factors.map(({ rank }) => rank)));
  const padded = (a: Float32Array, rank: number): Float32Array => {
    const whole = new Float32Array(rank * columns);
    whole.set(a);
    return whole;
  };
  const a = Array.from({ length: depths }, (_, depth) =>
    concatenated(parts.map(({ factors }, at) => padded(factors[depth]!.a, ranks[at]!))),
  );
  const aRef = await file.append(concatenated(a), [depths, a[0]!.length / columns, columns]);
  const stored: GatheredFactors['parts'][number][] = [];
  for (const [at, { target, out, factors }] of parts.entries()) {
    const rank = ranks[at]!;
    const b = concatenated(factors.map((one) => turnedB(one, one.rank, rank)));
    stored.push({ target, rank, b: await file.append(b, [depths, rank, out]) });
  }
  return { kind: 'gathered', name, a: aRef, parts: stored };
}

/** Every row gets a copy of its depth's factors and is multiplied with them alone. */
export function addGathered(
  rows: DepthRows,
  { name, a, parts }: GatheredFactors,
  x: Value,
  outputs?: readonly Value[],
): Value[] {
  const { graph } = rows;
  const [, ranks = 0, columns = 0] = a.dims;
  const low = graph.reshape(
    graph.node('MatMul', [rows.ofRow(graph.weight(`${name}.a`, a)), graph.reshape(x, [-1, columns, 1])]),
    [-1, 1, ranks],
  );
  const lows =
    parts.length === 1
      ? [low]
      : graph.nodes('Split', [low, graph.ints(parts.map(({ rank }) => rank))], parts.length, {
          attributes: { axis: 2 },
        });
  return parts.map(({ target, b }, at) => {
    const up = rows.ofRow(graph.weight(`${name}.b.${target}`, b));
    const delta = graph.reshape(graph.node('MatMul', [lows[at]!, up]), [-1, b.dims[2]!]);
    return outputs ? graph.node('Add', [outputs[at]!, delta]) : delta;
  });
}
