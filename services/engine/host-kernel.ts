import { type Bundle, kvNumberBytes, type Manifest } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import { AttentionItems } from './attention-items.ts';
import type { DepthGroup } from './depth-groups.ts';
import type { KvCopy, PoolSizes, Stack, StackBatch } from './engine.ts';
import { HeadKernel, headFunctions, planHead } from './head-kernel.ts';
import { attentionKernel } from './kernel/attention-kernel.ts';
import { compile } from './kernel/compile.ts';
import { MemoryPlan } from './kernel/memory-plan.ts';
import { productScratchFloats } from './kernel/product.ts';
import { rowItems } from './kernel/row-items.ts';
import { ITEM_WORDS, type KernelLayout, type KernelShape, scratchFloats } from './kernel/shape.ts';
import { type Target, targetOf } from './kernel/target.ts';
import { CONTROL_BYTES, ITEMS_MAX, KernelThreads } from './kernel-threads.ts';
import { type KvLayout, layerMajor } from './kv-store.ts';
import { LayerKernel, layerFunctions } from './layer-kernel.ts';
import { planLayers } from './layer-plan.ts';
import { thisProcessor } from './processor.ts';
import { fillRotaryTable } from './rotary-table.ts';
import { SharedKernel } from './shared-kernel.ts';

export interface HostKernelOptions {
  readonly threads: number;
  readonly pools: PoolSizes;
  /** By default this processor's. */
  readonly target?: Target | undefined;
}

interface Kernel {
  copy(from: number, to: number, slot: number, slots: number, layers: number, layerBytes: number): void;
}

/** NaN as a float and as two of half the bytes. */
const NAN_TWICE = 0x7fc07fc0;

/**
 * Attention over the pages where they lie, and the pages themselves, in one memory that all its threads share. The
 * graph runtime puts out queries, keys and values of a layer's rows and takes in what attention makes of them; nothing
 * is gathered or copied for it. For head sizes that are multiples of 4.
 */
export class HostKernel {
  /** The head for a few rows, in the same memory and with the same threads. */
  readonly head: HeadKernel | undefined;
  readonly #layout: KernelLayout;
  readonly #threads: KernelThreads;
  readonly #kernel: Kernel;
  readonly #layerKernel: LayerKernel | undefined;
  readonly #pools: Readonly<Record<Stack, KvLayout>>;
  readonly #poolStarts: Readonly<Record<Stack, number>>;
  readonly #items: AttentionItems;
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  #layerBytes = 0;

  /** @throws RondoError CONFIG_INVALID when pages and tables together exceed the 4 GiB a memory can have. */
  constructor(manifest: Manifest, { threads, pools, target = targetOf(thisProcessor()) }: HostKernelOptions) {
    const { shape, layers, pagePositions, rope } = manifest;
    const numberBytes = kvNumberBytes(manifest);
    const { heads, kvHeads, headDim, context } = shape;
    // The longest sequence of all is one that has a single depth here; the first runs, on the null page, may be longer.
    const longest = Math.max(pools.prelude, pools.block, pools.coda) * pagePositions;
    const positions = Math.min(context, Math.max(longest, LIMITS.stepRowsMax));
    const rows = LIMITS.stepRowsMax;
    const { registerVectors } = target;
    const kernelShape: KernelShape = { heads, kvHeads, headDim, pagePositions, numberBytes, registerVectors };
    const plan = new MemoryPlan();
    plan.floats(CONTROL_BYTES / 4);
    const [cos, sin] = [plan.floats((positions * headDim) / 2), plan.floats((positions * headDim) / 2)];
    const entries = rows * Math.ceil(positions / pagePositions);
    const tables = plan.floats(entries);
    const layoutWithoutSize = {
      cos,
      sin,
      rows: plan.floats(1),
      positions: plan.floats(rows),
      pages: plan.floats(rows),
      qkv: plan.floats(rows * (heads + 2 * kvHeads) * headDim),
      out: plan.floats(rows * heads * headDim),
      items: plan.floats(rows * kvHeads * ITEM_WORDS),
    };
    const scratches = Array.from({ length: threads }, () =>
      plan.floats(Math.max(scratchFloats(kernelShape, positions), productScratchFloats(rows))),
    );
    const pool = (stack: Stack): KvLayout =>
      layerMajor(shape, layers[stack], pagePositions, pools[stack], numberBytes);
    this.#pools = { prelude: pool('prelude'), block: pool('block'), coda: pool('coda') };
    const start = ({ layers, layerStride }: KvLayout) => plan.floats(layers * layerStride);
    const { prelude, block, coda } = this.#pools;
    this.#poolStarts = { prelude: start(prelude), block: start(block), coda: start(coda) };
    // Pages come first: without the room the graph runtime does what the kernel would.
    const layerPlan = plan.ifFits(() => planLayers(manifest, plan, target, layoutWithoutSize));
    const headPlan = plan.ifFits(() => planHead(manifest, plan));
    const memory = plan.allocate();
    this.#layout = { ...layoutWithoutSize, memoryPages: plan.pages };
    this.#words = new Int32Array(memory.buffer);
    this.#items = new AttentionItems(this.#words, this.#layout, kernelShape, {
      start: tables,
      entries,
      positions,
    });
    this.#floats = new Float32Array(memory.buffer);
    const table = (start: number) => this.#floats.subarray(start / 4, start / 4 + (positions * headDim) / 2);
    fillRotaryTable(table(cos), table(sin), rope.inverseFrequencies, rope.attentionFactor);

    const module = compile(
      attentionKernel(kernelShape, this.#layout, [
        ...(layerPlan ? layerFunctions(layerPlan, target) : []),
        ...(headPlan ? headFunctions(headPlan, target) : []),
      ]),
      target,
    );
    const { exports } = new WebAssembly.Instance(module, { host: { memory } });
    this.#kernel = exports as unknown as Kernel;
    const control = new Int32Array(memory.buffer, 0, CONTROL_BYTES / 4);
    const [own, ...others] = scratches as [number, ...number[]];
    this.#threads = new KernelThreads(
      control,
      others.map((scratch) => ({ module, memory, scratch })),
      exports,
      own,
    );
    const shared = new SharedKernel(memory, exports, this.#threads);
    this.head = headPlan && new HeadKernel(headPlan, shared);
    this.#layerKernel = layerPlan && new LayerKernel(layerPlan, shared);
  }

  /** Reads what `throughLayers` and the head work with. */
  load(bundle: Bundle): void {
    this.head?.load(bundle);
    this.#layerKernel?.load(bundle);
  }

  copy(stack: Stack, copies: readonly KvCopy[]): void {
    const { layers, layerStride } = this.#pools[stack];
    const address = (page: number) => this.#pageAddress(stack, page);
    for (const { fromPage, toPage, slot, slots } of copies) {
      this.#kernel.copy(address(fromPage), address(toPage), slot, slots, layers, layerStride * 4);
    }
  }

  /**
   * Prepares tables for all layers of one run of `batch`.
   * @throws RondoError ENGINE_FAILED for more rows or pages than a step may have.
   */
  begin(batch: StackBatch): void {
    this.#items.begin(batch, (page) => this.#pageAddress(batch.stack, page));
    this.#layerBytes = this.#pools[batch.stack].layerStride * 4;
  }

  /**
   * Attention of the rows of `begin` in layer `layer` of their stack. `qkv` is [rows, (heads + 2·kvHeads)·headDim], not
   * yet rotated; keys and values go to the pages. Fills `out` [rows, heads·headDim].
   */
  run(layer: number, qkv: Float32Array, out: Float32Array): void {
    this.#floats.set(qkv, this.#layout.qkv / 4);
    if (this.#items.together) this.#threads.gather();
    this.#attend(layer);
    if (this.#items.together) this.#threads.dismiss();
    const start = this.#layout.out / 4;
    out.set(this.#floats.subarray(start, start + out.length));
  }

  /**
   * Leaves of the rows of `begin` only `wanted`, rising, to attend in the layers that follow, whose K and V are placed for all. What
   * `run` puts out of others is of any layer.
   */
  narrow(wanted: readonly number[]): void {
    this.#items.narrow(wanted);
  }

  /** Whether `throughLayers` can take the rows of `begin`. */
  takesLayers(stack: Stack): boolean {
    return this.#layerKernel?.takes(stack, this.#items.rows) ?? false;
  }

  /** Whether `throughLayers` takes the state alone, without the first layer's queries, keys and values. */
  entersLayers(stack: Stack): boolean {
    return this.#layerKernel?.enters(stack) ?? false;
  }

  /** Whether `throughLayers` puts out the stream behind the last layer. */
  leavesLayers(stack: Stack): boolean {
    return this.#layerKernel?.leaves(stack) ?? false;
  }

  /**
   * All layers of a stack for the rows of `groups`, from the first one's attention on unless it `entersLayers`: its `qkv` is then
   * given as to `run`. `residual` [rows, hidden] is the stream before the first and then behind the last; unless it `leavesLayers`,
   * before the last, whose attention fills `out`.
   */
  throughLayers(
    stack: Stack,
    qkv: Float32Array | undefined,
    residual: Float32Array,
    out: Float32Array,
    groups: readonly DepthGroup[],
  ): void {
    if (qkv) this.#floats.set(qkv, this.#layout.qkv / 4);
    this.#layerKernel!.run(stack, groups, residual, (layer) => this.#attend(layer));
    const start = this.#layout.out / 4;
    out.set(this.#floats.subarray(start, start + out.length));
  }

  #attend(layer: number): void {
    const offset = layer * this.#layerBytes;
    this.#threads.run('place', rowItems(this.#items.rows), offset);
    this.#threads.run('attend', this.#items.count, offset);
  }

  /** Prepares for `placeKeys`: row i's keys and values belong to its position's slot of `pages[i]`. */
  beginKeys(stack: Stack, positions: Int32Array, pages: Int32Array): void {
    this.#items.beginRows(
      positions,
      Array.from(pages, (page) => this.#pageAddress(stack, page)),
    );
    this.#layerBytes = this.#pools[stack].layerStride * 4;
  }

  /** Rotates keys and writes them with their values to the pages: `kv` [rows, 2·kvHeads·headDim]. */
  placeKeys(layer: number, kv: Float32Array): void {
    this.#floats.set(kv, this.#layout.qkv / 4);
    this.#threads.run('placeKeys', rowItems(this.#items.rows), layer * this.#layerBytes);
  }

  poison(stack: Stack, pages: Int32Array): void {
    const { layers, pageStride, layerStride } = this.#pools[stack];
    for (const page of pages) {
      for (let layer = 0; layer < layers; layer++) {
        const start = this.#poolStarts[stack] / 4 + layer * layerStride + page * pageStride;
        this.#words.fill(NAN_TWICE, start, start + pageStride);
      }
    }
  }

  close(): Promise<void> {
    return this.#threads.close();
  }

  /** Where the page's first layer begins. */
  #pageAddress(stack: Stack, page: number): number {
    return this.#poolStarts[stack] + page * this.#pools[stack].pageStride * 4;
  }
}

export const fitsKernel = ({ shape, pagePositions }: Manifest): boolean =>
  shape.headDim % 4 === 0 && pagePositions % 4 === 0 && LIMITS.stepRowsMax * shape.kvHeads <= ITEMS_MAX;
