import { concatenated } from '@rondo/core';
import type { AdapterTarget, PlainFactors } from './adapters-weights.ts';
import type { DepthRows } from './depth-rows.ts';
import type { Graph, Value, WeightRef } from './graph.ts';
import { type Bytes, integerProduct, ROW_STEP, roundByLength, roundRows } from './integer-product.ts';
import { DATA_TYPE } from './onnx-model.ts';
import { quantizeChannels } from './quantize.ts';
import type { WeightsFile } from './weights-file.ts';

/** As `MaskedFactors`, rounded to seven bits. */
export interface IntegerFactors {
  readonly kind: 'integer';
  readonly name: string;
  readonly a: RoundedMatrix;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    /** Its first output among all of the linear. */
    readonly firstOutput: number;
    /** By depth. */
    readonly ranks: readonly number[];
  }[];
  /** B: of each part, or one of the whole linear with zeros where a part's ranks meet outputs of others. */
  readonly ups: readonly RoundedMatrix[];
}

interface RoundedMatrix {
  /** int8 [inputs, outputs] */
  readonly data: WeightRef;
  /** [outputs] */
  readonly scales: WeightRef;
}

/** A part's B of all depths: [out, width], each column divided by what it contributes at most. */
interface Up {
  readonly up: Float32Array;
  readonly out: number;
  readonly firstOutput: number;
  readonly width: number;
}

/**
 * Stores factors as seven-bit integers with a scale for each output. What a rank contributes at most is moved out of B into
 * the scale of A's output, which is there anyway: B's values of all ranks and depths then share a scale at no loss, and
 * the rounding between A and B is finest where it counts most.
 */
export async function storeInteger(
  { name, columns, outputs, parts }: PlainFactors,
  file: WeightsFile,
): Promise<IntegerFactors> {
  const store = async (weight: Float32Array, out: number, inputs: number, gains?: readonly number[]) => {
    const { data, scales } = quantizeChannels(weight, out, inputs);
    const scaled = gains ? scales.map((scale, at) => scale * gains[at]!) : scales;
    return { data: await file.append(data, [inputs, out]), scales: await file.append(scaled, [out]) };
  };
  const a = concatenated(parts.flatMap(({ factors }) => factors.map((one) => one.a)));
  const gains: number[] = [];
  const ups = parts.map(({ out, firstOutput, factors }): Up => {
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
    return { up, out, firstOutput, width };
  });
  const down = await store(a, gains.length, columns, gains);
  // The feed-forward takes its two parts apart anyway, and zeros beside so many outputs would be many.
  const apart = parts.some(({ target }) => target === 'gate' || target === 'up');
  const stored: RoundedMatrix[] = [];
  for (const { up, out, width } of apart ? ups : [blockDiagonal(ups, outputs)])
    stored.push(await store(up, out, width));
  return {
    kind: 'integer',
    name,
    a: down,
    parts: parts.map(({ target, firstOutput, factors }) => ({
      ...{ target, firstOutput },
      ranks: factors.map(({ rank }) => rank),
    })),
    ups: stored,
  };
}

function blockDiagonal(ups: readonly Up[], out: number): Up {
  const width = ups.reduce((sum, one) => sum + one.width, 0);
  const whole = new Float32Array(out * width);
  let column = 0;
  for (const one of ups) {
    for (let own = 0; own < one.out; own++) {
      const row = one.up.subarray(own * one.width, (own + 1) * one.width);
      whole.set(row, (one.firstOutput + own) * width + column);
    }
    column += one.width;
  }
  return { up: whole, out, firstOutput: 0, width };
}

/**
 * As `addMasked`, with factors rounded to seven bits and the base's own rounding of x: integer products cost little
 * arithmetic, so D times of it is less than the operators that would save it. One value for each of `ups`, yet to be
 * multiplied by the `largest` of `roundRows(x)`, as the base's integer product is.
 */
export function integerDeltas(rows: DepthRows, { name, a, parts, ups }: IntegerFactors, x: Value): Value[] {
  const { graph } = rows;
  const { bytes } = roundRows(graph, x);
  // The step that all bytes of x share, in the columns of the row's depth only.
  const step = rows.mask(
    parts.map(({ ranks }) => ranks),
    ROW_STEP,
  );
  const low = productOf(graph, `${name}.a`, a, { bytes, step });
  // Parts share a row's rounding: few operators matter more here than the last bit.
  const rounded = roundByLength(graph, low, a.data.dims[1]!);
  const lows = ofEach(graph, ups, rounded.bytes);
  return ups.map((up, at) => productOf(graph, `${name}.b.${at}`, up, { ...rounded, bytes: lows[at]! }));
}

function productOf(graph: Graph, name: string, { data, scales }: RoundedMatrix, rows: Bytes): Value {
  return integerProduct(graph, rows, graph.weight(name, data), graph.weight(`${name}.scales`, scales));
}

/**
 * The same from the values that the factors were rounded to, for providers without products of integers: whole products, not to be
 * multiplied by what x was rounded by, since it is not. All before the products is constant, as in the base's.
 */
export function floatDeltas(rows: DepthRows, { name, a, parts, ups }: IntegerFactors, x: Value): Value[] {
  const { graph } = rows;
  const wide = graph.node('MatMul', [x, floats(graph, `${name}.a`, a)]);
  const low = graph.node('Mul', [wide, rows.mask(parts.map(({ ranks }) => ranks))]);
  const lows = ofEach(graph, ups, low);
  return ups.map((up, at) => graph.node('MatMul', [lows[at]!, floats(graph, `${name}.b.${at}`, up)]));
}

/** low [N, Σ width] cut into what each of `ups` [width, out] multiplies. */
function ofEach(graph: Graph, ups: readonly RoundedMatrix[], low: Value): Value[] {
  if (ups.length === 1) return [low];
  const widths = graph.ints(ups.map(({ data }) => data.dims[0]!));
  return graph.nodes('Split', [low, widths], ups.length, { attributes: { axis: 1 } });
}

function floats(graph: Graph, name: string, { data, scales }: RoundedMatrix): Value {
  const cast = graph.node('Cast', [graph.weight(name, data)], { attributes: { to: DATA_TYPE.float32 } });
  return graph.node('Mul', [cast, graph.weight(`${name}.scales`, scales)]);
}
