import type { Bundle } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import type { Stack } from './engine.ts';
import { addNormFunction } from './kernel/add-norm.ts';
import { int4Product } from './kernel/int4-product.ts';
import { int8Product } from './kernel/int8-product.ts';
import type { WasmFunction } from './kernel/module.ts';
import { MATRIX } from './kernel/product.ts';
import { roundBlocksFunction } from './kernel/round-blocks.ts';
import { roundRowsFunction } from './kernel/round-rows.ts';
import type { KernelThreads } from './kernel-threads.ts';
import type { LayerPlan, PlannedMatrix, PlannedNorm } from './layer-plan.ts';
import { packMatrix } from './pack-matrix.ts';
import { readingWeights } from './reading-weights.ts';

/** What the kernel has for layers beside attention. */
export function layerFunctions({ hidden, normEpsilon, precision }: LayerPlan): WasmFunction[] {
  const product = precision === 'int4' ? int4Product : int8Product;
  return [
    product('product', false),
    product('gated', true),
    addNormFunction('addNorm', hidden, normEpsilon),
    precision === 'int4' ? roundBlocksFunction() : roundRowsFunction('round'),
  ];
}

interface LayerFunctions {
  addNorm(residual: number, delta: number, weight: number, normed: number, rows: number): void;
  round(source: number, target: number, blocks: number, rows: number): void;
}

/**
 * Takes a few rows through a stack's middle segments without the graph runtime, whose start, operators and waking of
 * threads take longer than the products: here all threads stay awake from the first layer to the last. (ADR 24)
 */
export class LayerKernel {
  readonly #plan: LayerPlan;
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  readonly #kernel: LayerFunctions;
  readonly #threads: KernelThreads;

  constructor(
    plan: LayerPlan,
    memory: WebAssembly.Memory,
    exports: Record<string, unknown>,
    threads: KernelThreads,
  ) {
    this.#plan = plan;
    this.#words = new Int32Array(memory.buffer);
    this.#floats = new Float32Array(memory.buffer);
    this.#kernel = exports as unknown as LayerFunctions;
    this.#threads = threads;
  }

  /** Reads the weights. @throws RondoError BUNDLE_INVALID for a file that ends before they do. */
  load(bundle: Bundle): void {
    readingWeights(bundle, this.#plan.file, (read) => {
      const { segments, entries } = this.#plan;
      const middles = Object.values(segments).flat();
      const all = [...middles, ...Object.values(entries).filter((entry) => entry !== undefined)];
      for (const { address, offset } of [
        ...middles.map(({ ffnNorm }) => ffnNorm),
        ...all.map(({ attentionNorm }) => attentionNorm),
      ]) {
        this.#floats.set(new Float32Array(read(offset, this.#plan.hidden * 4)), address / 4);
      }
      for (const matrix of [
        ...middles.flatMap(({ output, gateUp, down }) => [output, gateUp, down]),
        ...all.map(({ qkv }) => qkv),
      ]) {
        packMatrix(this.#words.buffer as SharedArrayBuffer, matrix, this.#plan, this.#threads.count, read);
      }
    });
  }

  takes(stack: Stack, rows: number): boolean {
    return rows <= LIMITS.kernelRowsMax && this.#plan.segments[stack].length > 0;
  }

  /** Whether `run` begins with the state and needs no queries, keys and values. */
  enters(stack: Stack): boolean {
    return this.#plan.entries[stack] !== undefined;
  }

  /**
   * From the residual stream [rows, hidden] before the first layer's attention, whose queries, keys and values are in
   * place unless it `enters`, to that before the last one's, which takes its place in `residual`. `attend` attends in a layer.
   */
  run(stack: Stack, rows: number, residual: Float32Array, attend: (layer: number) => void): void {
    const { attended, delta, normed, active, segments } = this.#plan;
    const start = this.#plan.residual / 4;
    this.#floats.set(residual, start);
    this.#threads.gather();
    const entry = this.#plan.entries[stack];
    if (entry) {
      this.#addNorm(entry.attentionNorm, this.#plan.zeros, rows);
      this.#multiply(entry.qkv, normed, rows);
    }
    segments[stack].forEach(({ output, ffnNorm, gateUp, down, attentionNorm, qkv }, layer) => {
      attend(layer);
      this.#multiply(output, attended, rows);
      this.#addNorm(ffnNorm, delta, rows);
      this.#multiply(gateUp, normed, rows);
      this.#multiply(down, active, rows);
      this.#addNorm(attentionNorm, delta, rows);
      this.#multiply(qkv, normed, rows);
    });
    attend(segments[stack].length);
    this.#threads.dismiss();
    residual.set(this.#floats.subarray(start, start + residual.length));
  }

  #multiply({ worker, address, blocks }: PlannedMatrix, input: number, rows: number): void {
    this.#kernel.round(input, this.#plan.rounded, blocks, rows);
    this.#words[address / 4 + MATRIX.rows] = rows;
    this.#threads.run(worker, this.#words[address / 4 + MATRIX.items]!, address);
  }

  #addNorm({ address }: PlannedNorm, delta: number, rows: number): void {
    const { residual, normed } = this.#plan;
    this.#kernel.addNorm(residual, delta, address, normed, rows);
  }
}
