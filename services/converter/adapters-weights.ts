import type { Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { writeRounded } from './adapters-rounding.ts';
import type { WeightRef } from './graph.ts';
import type { LoopPlan } from './loop-plan.ts';
import type { ModelSpec } from './model-spec.ts';
import type { WeightsFile } from './weights-file.ts';

type AdapterManifest = NonNullable<Manifest['adapters']>;
export type AdapterTarget = AdapterManifest['targets'][number];
export type AdapterMethod = AdapterManifest['method'];

/** Low-rank change of one linear at one depth: W + B·A. */
export interface Factors {
  /** [r, in] with r = min(rank, in, out) */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
}

export interface AdapterOptions {
  readonly rank: number;
  readonly targets: readonly AdapterTarget[];
  readonly method?: AdapterMethod | undefined;
  /** Factors of a source layer inside the loop (0-based) at a depth. */
  readonly factorsOf: (layer: number, depth: number, target: AdapterTarget) => Factors;
}

/** The best in `rondo bench adapters` over a base of this precision (ADR 10). */
export const adapterMethod = (precision: Manifest['precision']): AdapterMethod =>
  precision === 'int8' ? 'integer' : 'grouped';

/** Linears that are stored as one matrix, in the order of their rows, because they share their input. */
export const PACKED = { qkv: ['q', 'k', 'v'], o: ['o'], gate_up: ['gate', 'up'], down: ['down'] } as const;
export type PackedName = keyof typeof PACKED;
const PACKED_NAMES = Object.keys(PACKED) as PackedName[];

/** The factors of one packed linear at all D depths, [A_1; A_2; …] of its targets as one matrix a depth. */
export interface PackedFactors {
  readonly kind: 'dense';
  readonly name: string;
  /** [D, Σr, in] */
  readonly a: WeightRef;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    readonly rank: number;
    /** Bᵀ: [D, r, out] */
    readonly b: WeightRef;
  }[];
}

/** The same rounded to seven bits, columns of A and rows of B in order of part, depth and rank. */
export interface IntegerFactors {
  readonly kind: 'integer';
  readonly name: string;
  readonly a: RoundedMatrix;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    readonly rank: number;
    /** [D·r, out] */
    readonly b: RoundedMatrix;
  }[];
}

interface RoundedMatrix {
  /** int8 [in, out] */
  readonly data: WeightRef;
  /** [out] */
  readonly scales: WeightRef;
}

export interface AdapterWeights {
  readonly method: AdapterMethod;
  readonly depths: number;
  /** By source layer. */
  readonly layers: ReadonlyMap<number, Readonly<Partial<Record<PackedName, PackedFactors | IntegerFactors>>>>;
}

/** [out, in] of a linear of `model`. */
export function targetShape(model: ModelSpec, target: AdapterTarget): readonly [number, number] {
  const { hidden, ffn, heads, kvHeads, headDim } = model;
  switch (target) {
    case 'q':
      return [heads * headDim, hidden];
    case 'k':
    case 'v':
      return [kvHeads * headDim, hidden];
    case 'o':
      return [hidden, heads * headDim];
    case 'gate':
    case 'up':
      return [ffn, hidden];
    case 'down':
      return [hidden, ffn];
  }
}

/** The rank that factors of `target` really have: more than the smaller side of a matrix says nothing. */
export const cappedRank = (model: ModelSpec, target: AdapterTarget, rank: number): number =>
  Math.min(rank, ...targetShape(model, target));

/**
 * Appends the factors of every layer of the block at every depth to `file`: in f32, or rounded for the method `integer`.
 * @throws RondoError CONFIG_INVALID for an impossible rank, no targets, or factors of another size.
 */
export async function writeAdapters(
  options: AdapterOptions & { readonly method: AdapterMethod },
  model: ModelSpec,
  plan: LoopPlan,
  file: WeightsFile,
): Promise<AdapterWeights> {
  const { rank, targets, method } = options;
  if (!Number.isInteger(rank) || rank < 1) {
    throw new RondoError('CONFIG_INVALID', `adapters.rank ${rank}: must be a whole number from 1`);
  }
  if (targets.length === 0) {
    throw new RondoError('CONFIG_INVALID', 'adapters.targets is empty: name at least one linear');
  }
  const layers = new Map<number, Partial<Record<PackedName, PackedFactors | IntegerFactors>>>();
  for (const layer of plan.block) {
    const packed: Partial<Record<PackedName, PackedFactors | IntegerFactors>> = {};
    for (const name of PACKED_NAMES) {
      const present = PACKED[name].filter((target) => targets.includes(target));
      if (present.length > 0)
        packed[name] = await writePacked(options, model, plan, file, layer, name, present);
    }
    layers.set(layer, packed);
  }
  return { method, depths: plan.maxDepth, layers };
}

async function writePacked(
  { rank, factorsOf, method }: AdapterOptions,
  model: ModelSpec,
  { maxDepth }: LoopPlan,
  file: WeightsFile,
  layer: number,
  packed: PackedName,
  targets: readonly AdapterTarget[],
): Promise<PackedFactors | IntegerFactors> {
  const parts = targets.map((target) => {
    const [out, columns] = targetShape(model, target);
    const capped = cappedRank(model, target, rank);
    return { target, out, columns, rank: capped, b: new Float32Array(maxDepth * capped * out) };
  });
  const columns = parts[0]!.columns;
  const ranks = parts.reduce((sum, part) => sum + part.rank, 0);
  const a = new Float32Array(maxDepth * ranks * columns);
  let filled = 0;
  for (let depth = 0; depth < maxDepth; depth++) {
    for (const part of parts) {
      const factors = factorsOf(layer, depth, part.target);
      requireSize(`A of layer ${layer} ${part.target} at depth ${depth}`, factors.a, [part.rank, columns]);
      requireSize(`B of layer ${layer} ${part.target} at depth ${depth}`, factors.b, [part.out, part.rank]);
      a.set(factors.a, filled);
      filled += factors.a.length;
      const start = depth * part.rank * part.out;
      for (let row = 0; row < part.out; row++) {
        for (let column = 0; column < part.rank; column++) {
          part.b[start + column * part.out + row] = factors.b[row * part.rank + column]!;
        }
      }
    }
  }
  const name = `layers.${layer}.${packed}.adapter`;
  if (method === 'integer') return writeRounded({ name, columns, a, parts }, maxDepth, file);
  const written: PackedFactors['parts'][number][] = [];
  const aRef = await file.append(a, [maxDepth, ranks, columns]);
  for (const { target, out, rank: capped, b } of parts) {
    written.push({ target, rank: capped, b: await file.append(b, [maxDepth, capped, out]) });
  }
  return { kind: 'dense', name, a: aRef, parts: written };
}

function requireSize(what: string, data: Float32Array, shape: readonly [number, number]): void {
  if (data.length === shape[0] * shape[1]) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `adapters: ${what}: expected [${shape}], found ${data.length} values`,
  );
}
