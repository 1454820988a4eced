import { concatenated } from '@rondo/core';
import type { AdapterTarget, PlainFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import type { Value, WeightRef } from './graph.ts';
import { integerProduct, roundRows } from './integer-product.ts';
import { quantizeChannels } from './quantize.ts';
import type { WeightsFile } from './weights-file.ts';

/** As `MaskedFactors`, rounded to seven bits. */
export interface IntegerFactors {
  readonly kind: 'integer';
  readonly name: string;
  readonly a: RoundedMatrix;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    /** By depth. */
    readonly ranks: readonly number[];
    readonly b: RoundedMatrix;
  }[];
}

interface RoundedMatrix {
  /** int8 [inputs, outputs] */
  readonly data: WeightRef;
  /** [outputs] */
  readonly scales: WeightRef;
}

/**
 * Stores factors as seven-bit integers with a scale for each output. What a rank contributes at most is moved out of B into
 * the scale of A's output, which is there anyway: B's values of all ranks and depths then share a scale at no loss, and
 * the rounding between A and B is finest where it counts most.
 */
export async function storeInteger(
  { name, columns, parts }: PlainFactors,
  file: WeightsFile,
): Promise<IntegerFactors> {
  const store = async (weight: Float32Array, out: number, inputs: number, gains?: readonly number[]) => {
    const { data, scales } = quantizeChannels(weight, out, inputs);
    const scaled = gains ? scales.map((scale, at) => scale * gains[at]!) : scales;
    return { data: await file.append(data, [inputs, out]), scales: await file.append(scaled, [out]) };
  };
  const a = concatenated(parts.flatMap(({ factors }) => factors.map((one) => one.a)));
  const gains: number[] = [];
  const ups = parts.map(({ out, factors }) => {
    const width = factors.reduce((sum, { rank }) => sum + rank, 0);
    const up = new Float32Array(out * width);
    let column = 0;
    for (const { b, rank } of factors) {
      for (let k = 0; k < rank; k++, column++) {
        let largest = 0;
        for (let row = 0; row < out; row++) largest = Math.max(largest, Math.abs(b[row * rank + k]!));
        gains.push(largest || 1);
        for (let row = 0; row < out; row++) up[row * width + column] = b[row * rank + k]! / (largest || 1);
      }
    }
    return { up, width };
  });
  const down = await store(a, gains.length, columns, gains);
  const stored: IntegerFactors['parts'][number][] = [];
  for (const [at, { target, out, factors }] of parts.entries()) {
    const { up, width } = ups[at]!;
    stored.push({ target, ranks: factors.map(({ rank }) => rank), b: await store(up, out, width) });
  }
  return { kind: 'integer', name, a: down, parts: stored };
}

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
  const low = graph.node('Mul', [wide, rows.mask(parts.map(({ ranks }) => ranks))]);
  // Parts share a row's rounding: few operators matter more here than the last bit.
  const { bytes, largest } = roundRows(graph, low);
  const scale = graph.node('Mul', [largest, input.largest]);
  const widths = parts.map(({ b }) => b.data.dims[0]!);
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
