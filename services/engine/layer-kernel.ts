import type { Bundle } from '@rondo/bundle';
import type { DepthGroup } from './depth-groups.ts';
import type { Stack } from './engine.ts';
import { addNormFunction } from './kernel/add-norm.ts';
import { int4Product } from './kernel/int4-product.ts';
import { int8Product } from './kernel/int8-product.ts';
import type { WasmFunction } from './kernel/module.ts';
import { roundBlocksFunction } from './kernel/round-blocks.ts';
import { roundRowsFunction } from './kernel/round-rows.ts';
import type { Target } from './kernel/target.ts';
import type { LayerPlan, PlannedLinear, PlannedNorm } from './layer-plan.ts';
import { readingWeights } from './reading-weights.ts';
import type { SharedKernel } from './shared-kernel.ts';

/** What the kernel has for layers beside attention. */
export function layerFunctions(
  { hidden, normEpsilon, precision, adapted }: LayerPlan,
  target: Target,
): WasmFunction[] {
  const product = precision === 'int4' ? int4Product : int8Product;
  return [
    product('product', 'put', target),
    product('gated', 'gated', target),
    addNormFunction('addNorm', hidden, normEpsilon),
    precision === 'int4' ? roundBlocksFunction() : roundRowsFunction('round', 'divisions'),
    ...(adapted ? [product('gatedSum', 'gatedSum', target), ...factorFunctions(target)] : []),
  ];
}

const factorFunctions = (target: Target): WasmFunction[] => [
  roundRowsFunction('factorRound', 'multiplication'),
  int8Product('factorProduct', 'put', target),
  int8Product('factorAddition', 'added', target),
];

/**
 * Takes rows through a stack's middle segments without the graph runtime, whose start, operators and waking of
 * threads take longer than the products: here all threads stay awake from the first layer to the last. (ADR 24)
 */
export class LayerKernel {
  readonly #plan: LayerPlan;
  readonly #kernel: SharedKernel;

  constructor(plan: LayerPlan, kernel: SharedKernel) {
    this.#plan = plan;
    this.#kernel = kernel;
  }

  /** Reads the weights. @throws RondoError BUNDLE_INVALID for a file that ends before they do. */
  load(bundle: Bundle): void {
    readingWeights(bundle, this.#plan.file, (read) => {
      const layers = Object.values(this.#plan.layers).flat();
      const projections = layers.flatMap(({ before }) => before ?? []);
      const sublayers = layers.flatMap(({ after }) => after ?? []);
      for (const { norm } of [...projections, ...sublayers]) {
        this.#kernel.loadNorm(norm, this.#plan.hidden, read);
      }
      for (const { matrix, factors } of [
        ...projections.map(({ qkv }) => qkv),
        ...sublayers.flatMap(({ output, gateUp, down }) => [output, gateUp, down]),
      ]) {
        this.#kernel.loadMatrix(matrix, this.#plan.precision, read);
        if (factors) this.#kernel.loadFactors(factors, read);
      }
    });
  }

  takes(stack: Stack, rows: number): boolean {
    return rows <= this.#plan.rowsMax && this.#plan.layers[stack].length > 0;
  }

  /** Whether `run` begins with the state and needs no queries, keys and values. */
  enters(stack: Stack): boolean {
    return this.#plan.layers[stack][0]?.before !== undefined;
  }

  /** Whether `run` ends with the stream behind the last layer, not before what follows its attention. */
  leaves(stack: Stack): boolean {
    return this.#plan.layers[stack].at(-1)?.after !== undefined;
  }

  /**
   * Takes `residual` [rows, hidden], the stream before the stack's first layer, through all of them, and puts the stream
   * there that they end with. The first layer's queries, keys and values are in place unless it `enters`, and unless it
   * `leaves` only the last one's attention is done. `attend` attends in a layer. All rows are in `groups`.
   */
  run(
    stack: Stack,
    groups: readonly DepthGroup[],
    residual: Float32Array,
    attend: (layer: number) => void,
  ): void {
    const { layers, delta, hidden, depthOffsets } = this.#plan;
    const { floats, words, threads } = this.#kernel;
    const rows = residual.length / hidden;
    for (const { depth, first, rows } of groups)
      words.fill(depth * hidden * 4, depthOffsets / 4 + first, depthOffsets / 4 + first + rows);
    const start = this.#plan.residual / 4;
    floats.set(residual, start);
    threads.gather();
    /** What is still to be added to the stream. */
    let due = this.#plan.zeros;
    layers[stack].forEach(({ before, after }, layer) => {
      if (before) {
        this.#addNorm(before.norm, due, rows);
        this.#multiply(before.qkv, rows, groups);
      }
      attend(layer);
      if (!after) return;
      this.#multiply(after.output, rows, groups);
      this.#addNorm(after.norm, delta, rows);
      this.#multiply(after.gateUp, rows, groups);
      this.#multiply(after.down, rows, groups);
      due = delta;
    });
    threads.dismiss();
    const added = (this.leaves(stack) ? delta : this.#plan.zeros) / 4;
    for (let at = 0; at < residual.length; at++) {
      residual[at] = floats[start + at]! + floats[added + at]!;
    }
  }

  #multiply({ matrix, factors }: PlannedLinear, rows: number, groups: readonly DepthGroup[]): void {
    this.#kernel.round('round', [matrix], rows);
    if (factors?.first) this.#kernel.multiplyFactors(factors, rows, groups);
    this.#kernel.multiply(matrix);
    if (factors && !factors.first) this.#kernel.multiplyFactors(factors, rows, groups);
  }

  #addNorm(norm: PlannedNorm, delta: number, rows: number): void {
    this.#kernel.addNorm('addNorm', norm, delta, rows);
  }
}
