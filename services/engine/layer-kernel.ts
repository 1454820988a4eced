import type { Bundle } from '@rondo/bundle';
import type { DepthGroup } from './depth-groups.ts';
import type { Stack } from './engine.ts';
import { adaptedProduct } from './kernel/adapted-product.ts';
import { addNormFunction } from './kernel/add-norm.ts';
import { describe } from './kernel/description.ts';
import { int4Product } from './kernel/int4-product.ts';
import { int8Product } from './kernel/int8-product.ts';
import { RANGE, RANGE_WORDS, rangeOfDepth } from './kernel/matrix.ts';
import type { WasmFunction } from './kernel/module.ts';
import { roundFunction } from './kernel/round.ts';
import { roundBlocks } from './kernel/round-blocks.ts';
import { roundRows } from './kernel/round-rows.ts';
import type { Target } from './kernel/target.ts';
import type { LayerPlan } from './layer-plan.ts';
import { readingWeights } from './reading-weights.ts';
import type { SharedKernel } from './shared-kernel.ts';

/** What the kernel has for layers beside attention. */
export function layerFunctions(
  { hidden, normEpsilon, precision, adapted }: LayerPlan,
  target: Target,
): WasmFunction[] {
  const product = precision === 'int4' ? int4Product : int8Product;
  const rounding = precision === 'int4' ? roundBlocks(adapted) : roundRows('divisions');
  return [
    product('product', {}, target),
    product('gated', { gated: true }, target),
    addNormFunction('addNorm', hidden, normEpsilon, rounding),
    roundFunction('round', rounding),
    ...(adapted ? adaptedFunctions(product, target) : []),
  ];
}

function adaptedFunctions(product: typeof int8Product, target: Target): WasmFunction[] {
  const [factorProduct, lowRound, addend] = ['factorProduct', 'lowRound', 'factorAddend'] as const;
  return [
    int8Product(factorProduct, {}, target),
    roundFunction(lowRound, roundRows('multiplication')),
    int8Product(addend, { toScratch: true }, target),
    product('productSum', { addend }, target),
    product('gatedSum', { gated: true, addend }, target),
    adaptedProduct('adaptedProduct', { factorProduct, lowRound, product: 'productSum' }),
    adaptedProduct('adaptedGated', { factorProduct, lowRound, product: 'gatedSum' }),
  ];
}

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
        if (factors) this.#kernel.loadFactors(matrix, factors, read);
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
    const { layers, delta, hidden, depths, depthOffsets, ranges, run } = this.#plan;
    const { floats, words, threads } = this.#kernel;
    const rows = residual.length / hidden;
    words.fill(0, ranges / 4, ranges / 4 + RANGE_WORDS * (1 + depths));
    describe(words, ranges, RANGE, { first: 0, rows });
    for (const { depth, first, rows } of groups) {
      describe(words, rangeOfDepth(ranges, depth), RANGE, { first, rows });
      words.fill(depth * hidden * 4, depthOffsets / 4 + first, depthOffsets / 4 + first + rows);
    }
    words[run / 4]!++;
    const start = this.#plan.residual / 4;
    floats.set(residual, start);
    threads.gather();
    layers[stack].forEach(({ before, after }, layer) => {
      if (before) {
        this.#kernel.addNorm('addNorm', before.norm, rows);
        this.#kernel.multiply(before.qkv);
      }
      attend(layer);
      if (!after) return;
      this.#kernel.round('round', after.output.matrix, rows);
      this.#kernel.multiply(after.output);
      this.#kernel.addNorm('addNorm', after.norm, rows);
      this.#kernel.multiply(after.gateUp);
      this.#kernel.round('round', after.down.matrix, rows);
      this.#kernel.multiply(after.down);
    });
    threads.dismiss();
    const added = (this.leaves(stack) ? delta : this.#plan.zeros) / 4;
    for (let at = 0; at < residual.length; at++) {
      residual[at] = floats[start + at]! + floats[added + at]!;
    }
  }
}
