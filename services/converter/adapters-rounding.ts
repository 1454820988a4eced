import type { IntegerFactors, PackedFactors } from './adapters-weights.ts';
import type { WeightRef } from './graph.ts';
import { quantizeChannels } from './quantize.ts';
import type { WeightsFile } from './weights-file.ts';

/** Factors of one packed linear at all D depths, before they are stored. */
export interface PlainFactors {
  readonly name: string;
  readonly columns: number;
  /** [D, Σr, in] */
  readonly a: Float32Array;
  readonly parts: readonly {
    readonly target: PackedFactors['parts'][number]['target'];
    readonly out: number;
    readonly rank: number;
    /** Bᵀ: [D, r, out] */
    readonly b: Float32Array;
  }[];
}

/**
 * Stores factors as seven-bit integers with a scale for each output. What a rank contributes at most is moved out of B into
 * the scale of A's output, which is there anyway: B's values of all ranks and depths then share a scale at no loss, and
 * the rounding between A and B is finest where it counts most.
 */
export async function writeRounded(
  { name, columns, a, parts }: PlainFactors,
  depths: number,
  file: WeightsFile,
): Promise<IntegerFactors> {
  const ranks = parts.reduce((sum, { rank }) => sum + rank, 0);
  const down = new Float32Array(a.length);
  const gains = new Float32Array(depths * ranks);
  const ups: Float32Array[] = [];
  let [row, before] = [0, 0];
  for (const { rank, out, b } of parts) {
    const width = depths * rank;
    const up = new Float32Array(out * width);
    for (let column = 0; column < width; column++) {
      const [depth, k] = [Math.floor(column / rank), column % rank];
      const source = (depth * ranks + before + k) * columns;
      down.set(a.subarray(source, source + columns), row * columns);
      const values = b.subarray(column * out, (column + 1) * out);
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
      gains[row++] = largest;
      for (let at = 0; at < out; at++) up[at * width + column] = values[at]! / largest;
    }
    before += rank;
    ups.push(up);
  }
  const store = async (weight: Float32Array, out: number, inputs: number, gain?: Float32Array) => {
    const { data, scales } = quantizeChannels(weight, out, inputs);
    const scaled = gain ? scales.map((scale, at) => scale * gain[at]!) : scales;
    return { data: await file.append(data, [inputs, out]), scales: await file.append(scaled, [out]) };
  };
  const stored: { data: WeightRef; scales: WeightRef } = await store(down, depths * ranks, columns, gains);
  const written: IntegerFactors['parts'][number][] = [];
  for (const [at, { target, rank, out }] of parts.entries()) {
    written.push({ target, rank, b: await store(ups[at]!, out, depths * rank) });
  }
  return { kind: 'integer', name, a: stored, parts: written };
}
