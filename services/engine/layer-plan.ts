import type { Manifest } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import type { Stack } from './engine.ts';
import { NORM_WORDS } from './kernel/add-norm.ts';
import type { MemoryPlan } from './kernel/memory-plan.ts';
import { MATRIX_WORDS } from './kernel/product.ts';
import { BLOCK_COLUMNS, ROUNDED_BLOCK_BYTES } from './kernel/round-blocks.ts';
import { roundedTileBytes, SIXTEEN } from './kernel/round-rows.ts';
import { tilesBytes } from './kernel/row-tiles.ts';
import type { Target } from './kernel/target.ts';
import { kernelRowsMax } from './kernel-rows.ts';
import type { WorkerName } from './kernel-threads.ts';

type LayerWeights = NonNullable<Manifest['layerWeights']>;
type MatrixPlace = LayerWeights['block'][number]['qkv'];

/** A matrix [outputs, columns], whose columns are worked on block by block, on its way from the bundle's file to the kernel's memory. */
export interface PlannedMatrix {
  readonly place: MatrixPlace;
  /** What multiplies by it: `gated` when its first half is the gate of its second. */
  readonly worker: Extract<WorkerName, 'product' | 'gated' | 'headProduct'>;
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
}

/** A norm: addresses of its description, its weights, the stream and its normed rows, and where the file has the weights. */
export interface PlannedNorm {
  readonly address: number;
  readonly weights: number;
  readonly residual: number;
  readonly normed: number;
  readonly offset: number;
}

/** What lies before a layer's attention: its norm, and its queries, keys and values. */
export interface PlannedProjection {
  readonly norm: PlannedNorm;
  readonly qkv: PlannedMatrix;
}

/** What lies behind it: the output projection and the feed-forward sublayer. */
export interface PlannedSublayers {
  readonly output: PlannedMatrix;
  readonly norm: PlannedNorm;
  readonly gateUp: PlannedMatrix;
  readonly down: PlannedMatrix;
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
  readonly normEpsilon: number;
  readonly file: string;
  readonly layers: Readonly<Record<Stack, readonly PlannedLayer[]>>;
  /** Address of a row of zeros for each row. */
  readonly zeros: number;
  /** Addresses of f32 rows that all layers share. */
  readonly residual: number;
  readonly delta: number;
}

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
  { layerWeights, shape }: Manifest,
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
  const bytes = places.length * weights * weightBytes;
  if (bytes > LIMITS.kernelWeightBytesMax || !plan.fits(bytes)) return undefined;
  const rowsMax = kernelRowsMax(target, precision, weights);
  const rows = (floats: number) => plan.floats(floats * rowsMax);
  const zeros = rows(hidden);
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
    worker: PlannedMatrix['worker'] = 'product',
  ): PlannedMatrix => {
    const blocks = columns / blockColumns;
    const address = plan.floats(MATRIX_WORDS);
    const weights = plan.floats((outputs * columns) / (precision === 'int4' ? 8 : 4));
    const scales = plan.floats(precision === 'int4' ? outputs * blocks : outputs);
    const zeros = precision === 'int4' ? plan.floats((outputs * blocks) / 4) : 0;
    return { place, worker, outputs, blocks, address, weights, scales, zeros, source, rounded, target };
  };
  const norm = (offset: number): PlannedNorm => {
    const [address, weights] = [plan.floats(NORM_WORDS), plan.floats(hidden)];
    return { address, weights, residual, normed, offset };
  };
  const layersOf = (stack: Stack): PlannedLayer[] =>
    layerWeights[stack].map(
      ({ attentionNorm, qkv: projection, output, ffnNorm, gateUp, down }, index, all) => {
        const inGraph = stack === 'block' && index === all.length - 1 && !layerWeights.plainPassEnd;
        return {
          before:
            stack === 'prelude' && index === 0
              ? undefined
              : { norm: norm(attentionNorm), qkv: matrix(projection, [projected, hidden], [normed, qkv]) },
          after: inGraph
            ? undefined
            : {
                output: matrix(output, [hidden, queries], [out, delta]),
                norm: norm(ffnNorm),
                gateUp: matrix(gateUp, [2 * ffn, hidden], [normed, active], 'gated'),
                down: matrix(down, [hidden, ffn], [active, delta]),
              },
        };
      },
    );
  return {
    precision,
    rowsMax,
    hidden,
    normEpsilon,
    file,
    layers: { prelude: layersOf('prelude'), block: layersOf('block'), coda: layersOf('coda') },
    zeros,
    residual,
    delta,
  };
}
