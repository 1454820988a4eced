import { RondoError } from '@rondo/core';
import type { AdapterTarget, Factors, PackedFactors } from './adapters-weights.ts';
import type { WeightRef } from './graph.ts';
import { dequantizeChannels } from './quantize.ts';
import type { WeightsReader } from './weights-reader.ts';

/** The factors of one linear [out, in] at one depth out of what was stored, integers with their scales multiplied in. */
export async function plainFactors(
  reader: WeightsReader,
  packed: PackedFactors,
  target: AdapterTarget,
  depth: number,
  [out, columns]: readonly [number, number],
): Promise<Factors> {
  const rowsOf = (ref: WeightRef, width: number, first: number, count: number): Promise<Float32Array> =>
    reader.floats({ ...ref, offset: ref.offset + 4 * width * first, bytes: 4 * width * count });
  switch (packed.kind) {
    case 'grouped': {
      const { a, parts } = packed.depths[depth]!;
      const { first, rank, part } = placeOf(parts, target, ({ rank }) => rank);
      return { a: await rowsOf(a, columns, first, rank), b: turned(await reader.floats(part.b), rank, out) };
    }
    case 'gathered': {
      const { first, rank, part } = placeOf(packed.parts, target, ({ rank }) => rank);
      const ranks = packed.a.dims[1]!;
      const a = await rowsOf(packed.a, columns, depth * ranks + first, rank);
      return { a, b: turned(await rowsOf(part.b, out, depth * rank, rank), rank, out) };
    }
    case 'masked': {
      const { first, before, rank, part } = placeAt(packed.parts, target, depth);
      const a = await rowsOf(packed.a, columns, first, rank);
      return { a, b: turned(await rowsOf(part.b, out, before, rank), rank, out) };
    }
    case 'integer': {
      const { first, before, rank } = placeAt(packed.parts, target, depth);
      const { a: down, parts, ups } = packed;
      if (!ups) {
        throw new RondoError(
          'BUNDLE_INVALID',
          `model.json: ${packed.name}.b is stored as older versions did; convert the checkpoint again`,
        );
      }
      const read = async ({ data, scales }: typeof down) => {
        const [inputs, outputs] = data.dims as [number, number];
        const stored = { data: await reader.signed(data), scales: await reader.floats(scales) };
        return { weight: dequantizeChannels(stored, outputs, inputs), inputs };
      };
      const at = parts.findIndex((part) => part.target === target);
      // Where there is a B for each part, it has the part's ranks and outputs only.
      const { weight, inputs } = await read(ups[at] ?? ups[0]!);
      const apart = weight.length === out * inputs && parts.length === ups.length;
      const [row, column] = apart ? [0, before] : [parts[at]!.firstOutput, first];
      return {
        a: (await read(down)).weight.slice(first * columns, (first + rank) * columns),
        b: Float32Array.from({ length: out * rank }, (_, place) => {
          return weight[(row + Math.floor(place / rank)) * inputs + column + (place % rank)]!;
        }),
      };
    }
  }
}

/** The rank that `plainFactors` finds. */
export function storedRank(packed: PackedFactors, target: AdapterTarget, depth: number): number {
  switch (packed.kind) {
    case 'grouped':
      return placeOf(packed.depths[depth]!.parts, target, ({ rank }) => rank).rank;
    case 'gathered':
      return placeOf(packed.parts, target, ({ rank }) => rank).rank;
    case 'masked':
    case 'integer':
      return placeAt<PartOfDepths>(packed.parts, target, depth).rank;
  }
}

interface PartOfDepths {
  readonly target: AdapterTarget;
  readonly ranks: readonly number[];
}

/** Where a target's ranks begin among those of all parts, and how many they are. */
function placeOf<P extends { readonly target: AdapterTarget }>(
  parts: readonly P[],
  target: AdapterTarget,
  width: (part: P) => number,
): { readonly first: number; readonly rank: number; readonly part: P } {
  let first = 0;
  for (const part of parts) {
    if (part.target === target) return { first, rank: width(part), part };
    first += width(part);
  }
  throw new Error(`no factors of ${target}`);
}

/** The same where depths lie within a part: `before` are the ranks of earlier depths. */
function placeAt<P extends PartOfDepths>(
  parts: readonly P[],
  target: AdapterTarget,
  depth: number,
): { readonly first: number; readonly before: number; readonly rank: number; readonly part: P } {
  const sum = (ranks: readonly number[]) => ranks.reduce((total, rank) => total + rank, 0);
  const { first, part } = placeOf(parts, target, ({ ranks }) => sum(ranks));
  const before = sum(part.ranks.slice(0, depth));
  return { first: first + before, before, rank: part.ranks[depth]!, part };
}

/** Bᵀ [rank, out] turned back. */
function turned(b: Float32Array, rank: number, out: number): Float32Array {
  const result = new Float32Array(b.length);
  for (let k = 0; k < rank; k++)
    for (let row = 0; row < out; row++) result[row * rank + k] = b[k * out + row]!;
  return result;
}
