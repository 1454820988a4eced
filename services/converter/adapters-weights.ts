import type { Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { type GatheredFactors, storeGathered } from './adapters-gathered.ts';
import { type GroupedFactors, storeGrouped } from './adapters-grouped.ts';
import { type IntegerFactors, storeInteger } from './adapters-integer.ts';
import { type MaskedFactors, storeMasked } from './adapters-masked.ts';
import type { LoopPlan } from './loop-plan.ts';
import type { ModelSpec } from './model-spec.ts';
import type { WeightsFile } from './weights-file.ts';

type AdapterManifest = NonNullable<Manifest['adapters']>;
export type AdapterTarget = AdapterManifest['targets'][number];
export type AdapterMethod = AdapterManifest['method'];

/** Low-rank change of one linear at one depth: W + B·A. */
export interface Factors {
  /** [r, in] with 1 ≤ r ≤ min(in, out); r may be another one for every matrix. */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
  /** Share of a residual's energy that B·A keeps, where the factors come from one. */
  readonly share?: number;
}

export interface AdapterOptions {
  readonly targets: readonly AdapterTarget[];
  readonly method?: AdapterMethod | undefined;
  /** Factors of a layer of the block, numbered as in the plan, at a depth. Those of one input are asked for together. */
  readonly factorsOf: (layer: number, depth: number, target: AdapterTarget) => Factors | Promise<Factors>;
  /** Called as matrices are written, of `total` in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What was written for one linear at one depth. */
export interface AdapterMatrix {
  readonly layer: number;
  readonly depth: number;
  readonly target: AdapterTarget;
  readonly rank: number;
  readonly share?: number;
  readonly parameters: number;
  /** As stored, without what pads it. */
  readonly bytes: number;
}

/** The best over a base of this precision: over integers those that the engine's kernel knows (ADR 10). */
export const adapterMethod = (precision: Manifest['precision']): AdapterMethod =>
  precision === 'f32' ? 'grouped' : 'integer';

/** Linears that are stored as one matrix, in the order of their rows, because they share their input. */
export const PACKED = { qkv: ['q', 'k', 'v'], o: ['o'], gate_up: ['gate', 'up'], down: ['down'] } as const;
export type PackedName = keyof typeof PACKED;
const PACKED_NAMES = Object.keys(PACKED) as PackedName[];

/** The factors of one packed linear, before they are stored. */
export interface PlainFactors {
  readonly name: string;
  readonly columns: number;
  /** Of all its targets, adapted or not. */
  readonly outputs: number;
  readonly parts: readonly {
    readonly target: AdapterTarget;
    readonly out: number;
    /** Its first output among all. */
    readonly firstOutput: number;
    /** By depth. */
    readonly factors: readonly (Factors & { readonly rank: number })[];
  }[];
}

/** The factors of one packed linear at all depths, laid out as their method needs them. */
export type PackedFactors = GroupedFactors | MaskedFactors | GatheredFactors | IntegerFactors;

/** The factors of a layer's linears. */
export type LayerFactors = Readonly<Partial<Record<PackedName, PackedFactors>>>;

const STORE: Readonly<
  Record<AdapterMethod, (factors: PlainFactors, file: WeightsFile) => Promise<PackedFactors>>
> = { grouped: storeGrouped, masked: storeMasked, gathered: storeGathered, integer: storeInteger };

export interface AdapterWeights {
  readonly method: AdapterMethod;
  readonly targets: readonly AdapterTarget[];
  readonly depths: number;
  /** By layer of the block. */
  readonly layers: ReadonlyMap<number, LayerFactors>;
  readonly matrices: readonly AdapterMatrix[];
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
 * @throws RondoError CONFIG_INVALID for no targets, or factors that do not fit their linear.
 */
export async function writeAdapters(
  options: AdapterOptions & { readonly method: AdapterMethod },
  model: ModelSpec,
  plan: LoopPlan,
  file: WeightsFile,
): Promise<AdapterWeights> {
  const { targets, method, onProgress } = options;
  if (targets.length === 0) {
    throw new RondoError('CONFIG_INVALID', 'adapters.targets is empty: name at least one linear');
  }
  const layers = new Map<number, LayerFactors>();
  const matrices: AdapterMatrix[] = [];
  const total = plan.block.length * plan.maxDepth * targets.length;
  for (const layer of plan.block) {
    const packed: Partial<Record<PackedName, PackedFactors>> = {};
    for (const name of PACKED_NAMES) {
      const present = PACKED[name].filter((target) => targets.includes(target));
      if (present.length === 0) continue;
      const plain = await gatherFactors(options, model, plan.maxDepth, layer, name, present);
      packed[name] = await STORE[method](plain, file);
      matrices.push(...matricesOf(plain, layer, method));
      onProgress?.(matrices.length, total);
    }
    layers.set(layer, packed);
  }
  return { method, targets, depths: plan.maxDepth, layers, matrices };
}

async function gatherFactors(
  { factorsOf }: AdapterOptions,
  model: ModelSpec,
  depths: number,
  layer: number,
  packed: PackedName,
  targets: readonly AdapterTarget[],
): Promise<PlainFactors> {
  const all: readonly AdapterTarget[] = PACKED[packed];
  const outputsBefore = (end: AdapterTarget | undefined): number =>
    (end ? all.slice(0, all.indexOf(end)) : all).reduce((sum, one) => sum + targetShape(model, one)[0], 0);
  const parts = await Promise.all(
    targets.map(async (target) => {
      const [out, columns] = targetShape(model, target);
      const factors = await Promise.all(
        Array.from({ length: depths }, async (_, depth) => {
          const { a, b, share } = await factorsOf(layer, depth, target);
          const where = `layer ${layer} ${target} at depth ${depth}`;
          const rank = requireRank(where, a, b, out, columns);
          return { a, b, rank, ...(share !== undefined && { share }) };
        }),
      );
      return { target, out, firstOutput: outputsBefore(target), factors };
    }),
  );
  const columns = targetShape(model, targets[0]!)[1];
  return { name: `layers.${layer}.${packed}.adapter`, columns, outputs: outputsBefore(undefined), parts };
}

/** The rank that factors of a linear [out, columns] have. */
function requireRank(where: string, a: Float32Array, b: Float32Array, out: number, columns: number): number {
  const rank = a.length / columns;
  if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(out, columns)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `adapters: A of ${where}: expected [r,${columns}] with r from 1 to ${Math.min(out, columns)}, found ${a.length} values`,
    );
  }
  if (b.length !== out * rank) {
    throw new RondoError(
      'CONFIG_INVALID',
      `adapters: B of ${where}: expected [${out},${rank}] like A [${rank},${columns}], found ${b.length} values`,
    );
  }
  return rank;
}

/** Rounded factors take a byte a value and four for each rank's scale; those of outputs serve all depths. */
const matricesOf = (
  { columns, parts }: PlainFactors,
  layer: number,
  method: AdapterMethod,
): AdapterMatrix[] =>
  parts.flatMap(({ target, out, factors }) =>
    factors.map(({ rank, share }, depth) => {
      const parameters = rank * (out + columns);
      const bytes = method === 'integer' ? parameters + 4 * rank : 4 * parameters;
      return { layer, depth, target, rank, parameters, bytes, ...(share !== undefined && { share }) };
    }),
  );
