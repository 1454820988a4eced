import type { FactorsPlace, Manifest, MatrixPlace } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import type { Stack } from './engine.ts';
import { factorAreas, factorBytes, type PlannedFactors, planFactors } from './factor-plan.ts';
import { NORM_WORDS } from './kernel/add-norm.ts';
import { MATRIX_WORDS, RANGE_WORDS } from './kernel/matrix.ts';
import type { MemoryPlan } from './kernel/memory-plan.ts';
import { BLOCK_COLUMNS, ROUNDED_BLOCK_BYTES } from './kernel/round-blocks.ts';
import { roundedTileBytes, SIXTEEN } from './kernel/rounded-row.ts';
import { tilesBytes } from './kernel/row-tiles.ts';
import type { Target } from './kernel/target.ts';
import { kernelRowsMax } from './kernel-rows.ts';
import type { ItemFunctionName } from './kernel-threads.ts';

/** A matrix [outputs, columns] in the kernel's memory, whose columns are worked on block by block. */
export interface LaidMatrix {
  readonly outputs: number;
  readonly blocks: number;
  /** Addresses of its description and its parts, of the rows it multiplies and where they are rounded to, and of the rows it puts out. */
  readonly address: number;
  readonly weights: number;
  readonly scales: number;
  readonly zeros: number;
  readonly source: number;
  readonly rounded: number;
  readonly target: number;
  /** From one row to the next. */
  readonly sourceRowBytes: number;
  readonly targetRowBytes: number;
  /** Address of which rows of a run it takes. */
  readonly range: number;
}

/** One on its way there from the bundle's file. */
export interface PlannedMatrix extends LaidMatrix {
  readonly place: MatrixPlace;
  /** What multiplies by it: gated when its first half is the gate of its second. */
  readonly multiplier: Extract<ItemFunctionName, 'product' | 'gated' | 'headProduct'>;
}

/** A norm: addresses of its description, its weights, the stream, what is added to it and its normed rows, and where the file has the weights. */
export interface PlannedNorm {
  readonly address: number;
  /** Of each of `depths`, if they differ, one behind the other. */
  readonly weights: number;
  readonly depths: number;
  /** [rows] i32, what is added to `weights` for each row. */
  readonly offsets: number;
  readonly residual: number;
  readonly delta: number;
  readonly normed: number;
  /** Address of the matrix that multiplies these. */
  readonly matrix: number;
  readonly offset: number;
}

/** A linear layer: its matrix, and what each depth adds to it. */
export interface PlannedLinear {
  readonly matrix: PlannedMatrix;
  readonly factors: PlannedFactors | undefined;
}

/** What lies before a layer's attention: its norm, and its queries, keys and values. */
export interface PlannedProjection {
  readonly norm: PlannedNorm;
  readonly qkv: PlannedLinear;
}

/** What lies behind it: the output projection and the feed-forward sublayer. */
export interface PlannedSublayers {
  readonly output: PlannedLinear;
  readonly norm: PlannedNorm;
  readonly gateUp: PlannedLinear;
  readonly down: PlannedLinear;
}

/** A layer in the kernel; `before` is the graph's where a stack begins with the embedding, `after` where a pass ends with more than damping. */
export interface PlannedLayer {
  readonly before: PlannedProjection | undefined;
  readonly after: PlannedSublayers | undefined;
}

/** Where the layers' weights and the values of their rows lie in the kernel's memory. */
export interface LayerPlan {
  readonly precision: 'int4' | 'int8';
  /** Most rows of one run. */
  readonly rowsMax: number;
  readonly hidden: number;
  /** Passes of the block. */
  readonly depths: number;
  readonly normEpsilon: number;
  readonly file: string;
  readonly layers: Readonly<Record<Stack, readonly PlannedLayer[]>>;
  /** Address of a row of zeros for each row. */
  readonly zeros: number;
  /** Address of what rows of the block add to the addresses of norms that each depth has for itself, and from depth to depth. */
  readonly depthOffsets: number;
  /** Address of all rows of a run, and behind them those of each depth; and of a number that is another in each run. */
  readonly ranges: number;
  readonly run: number;
  /** Addresses of f32 rows that all layers share. */
  readonly residual: number;
  readonly delta: number;
  /** Some linears have factors. */
  readonly adapted: boolean;
}

/** Whether rows of a matrix come out gated, half as wide. */
export const isGated = ({ multiplier }: PlannedMatrix): boolean => multiplier === 'gated';

/** Bytes of a weight (four bits, and for 32 of them a scale of 4 bytes and a zero point of 1), and columns of a block. */
const PRECISIONS = {
  int4: { weightBytes: 0.5 + 5 / BLOCK_COLUMNS, blockColumns: BLOCK_COLUMNS },
  int8: { weightBytes: 1, blockColumns: SIXTEEN },
} as const;

/** Bytes of a tile of rows of so many blocks that are rounded for weights of `precision`. */
export const tileBytesOf = (precision: LayerPlan['precision'], blocks: number): number =>
  precision === 'int4' ? blocks * ROUNDED_BLOCK_BYTES : roundedTileBytes(blocks * SIXTEEN);

/**
 * Reserves memory for layers whose queries, keys and values go to `qkv` and whose attention is in `out`. Undefined for a
 * bundle whose layers the kernel does not know, or whose weights are too many to hold twice.
 */
export function planLayers(
  { layerWeights, shape, maxDepth }: Manifest,
  plan: MemoryPlan,
  target: Target,
  { qkv, out }: { readonly qkv: number; readonly out: number },
): LayerPlan | undefined {
  if (!layerWeights) return undefined;
  const { hidden, heads, kvHeads, headDim } = shape;
  const { ffn, file, normEpsilon } = layerWeights;
  const [queries, projected] = [heads * headDim, (heads + 2 * kvHeads) * headDim];
  const places = [...layerWeights.prelude, ...layerWeights.block, ...layerWeights.coda];
  const precision = places.every(({ qkv }) => qkv.zeroPoints === undefined) ? 'int8' : 'int4';
  const { weightBytes, blockColumns } = PRECISIONS[precision];
  const weights = (queries + projected + 3 * ffn) * hidden;
  const factorSets = places.flatMap(({ factors: { qkv, output, gateUp, down } = {} }) =>
    [qkv, output, gateUp, down].filter((place) => place !== undefined),
  );
  const bytes =
    places.length * weights * weightBytes + factorBytes(factorSets, Math.max(hidden, ffn, queries));
  if (bytes > LIMITS.kernelWeightBytesMax) return undefined;
  const rowsMax = kernelRowsMax(target, precision, weights);
  const rows = (floats: number) => plan.floats(floats * rowsMax);
  const zeros = rows(hidden);
  const depthOffsets = rows(1);
  const ranges = plan.floats(RANGE_WORDS * (1 + maxDepth));
  const run = plan.floats(1);
  const residual = rows(hidden);
  const delta = rows(hidden);
  const normed = rows(hidden);
  const active = rows(ffn);
  const widest = Math.max(hidden, ffn, queries);
  const rounded = plan.floats(tilesBytes(rowsMax, tileBytesOf(precision, widest / blockColumns)) / 4);
  const matrix = (
    place: MatrixPlace,
    [outputs, columns]: readonly [number, number],
    [source, target]: readonly [number, number],
    multiplier: PlannedMatrix['multiplier'] = 'product',
  ): PlannedMatrix => {
    const blocks = columns / blockColumns;
    const address = plan.floats(MATRIX_WORDS);
    const weights = plan.floats((outputs * columns) / (precision === 'int4' ? 8 : 4));
    const scales = plan.floats(precision === 'int4' ? outputs * blocks : outputs);
    const zeros = precision === 'int4' ? plan.floats((outputs * blocks) / 4) : 0;
    const width = multiplier === 'gated' ? outputs / 2 : outputs;
    return {
      ...{ place, multiplier, outputs, blocks, address, weights, scales, zeros, source, rounded, target },
      ...{ sourceRowBytes: columns * 4, targetRowBytes: width * 4, range: ranges },
    };
  };
  const areas =
    factorSets.length > 0
      ? factorAreas(plan, factorSets, { rowsMax, columns: precision === 'int4' ? widest : 0, ranges, run })
      : undefined;
  const linear = (factors: FactorsPlace | undefined, matrix: PlannedMatrix): PlannedLinear => ({
    matrix,
    factors: factors && planFactors(factors, matrix, areas!, plan),
  });
  const norm = (
    offset: number,
    perDepth: boolean | undefined,
    due: number,
    { matrix: { address: matrix } }: PlannedLinear,
  ): PlannedNorm => {
    const depths = perDepth ? maxDepth : 1;
    const [address, weights] = [plan.floats(NORM_WORDS), plan.floats(hidden * depths)];
    const offsets = perDepth ? depthOffsets : zeros;
    return { address, weights, depths, offsets, residual, delta: due, normed, matrix, offset };
  };
  const layersOf = (stack: Stack): PlannedLayer[] =>
    layerWeights[stack].map(
      ({ attentionNorm, ffnNorm, normsPerDepth, factors = {}, ...places }, index, all): PlannedLayer => {
        const before = (): PlannedProjection => {
          const own = linear(factors.qkv, matrix(places.qkv, [projected, hidden], [normed, qkv]));
          // The first layer's stream comes with all that is added to it.
          const due = index === 0 ? zeros : delta;
          return { norm: norm(attentionNorm, normsPerDepth, due, own), qkv: own };
        };
        const after = (): PlannedSublayers => {
          const output = linear(factors.output, matrix(places.output, [hidden, queries], [out, delta]));
          const gated = matrix(places.gateUp, [2 * ffn, hidden], [normed, active], 'gated');
          const gateUp = linear(factors.gateUp, gated);
          const down = linear(factors.down, matrix(places.down, [hidden, ffn], [active, delta]));
          return { output, norm: norm(ffnNorm, normsPerDepth, delta, gateUp), gateUp, down };
        };
        const beginsInGraph = stack === 'prelude' && index === 0;
        const endsInGraph = stack === 'block' && index === all.length - 1 && !layerWeights.plainPassEnd;
        return {
          before: beginsInGraph ? undefined : before(),
          after: endsInGraph ? undefined : after(),
        };
      },
    );
  return {
    precision,
    rowsMax,
    hidden,
    depths: maxDepth,
    normEpsilon,
    file,
    layers: { prelude: layersOf('prelude'), block: layersOf('block'), coda: layersOf('coda') },
    zeros,
    depthOffsets,
    ranges,
    run,
    residual,
    delta,
    adapted: factorSets.length > 0,
  };
}
