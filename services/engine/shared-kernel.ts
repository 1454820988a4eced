import { NORM } from './kernel/add-norm.ts';
import { describe } from './kernel/description.ts';
import { MATRIX } from './kernel/product.ts';
import { rowItems } from './kernel/row-items.ts';
import type { KernelThreads, WorkerName } from './kernel-threads.ts';
import type { LayerPlan, PlannedMatrix, PlannedNorm } from './layer-plan.ts';
import { packMatrix } from './pack-matrix.ts';
import type { ReadWeights } from './reading-weights.ts';

/** Memory, functions and threads of the kernel's module, for those who multiply in it. */
export class SharedKernel {
  readonly words: Int32Array;
  readonly floats: Float32Array;
  readonly exports: Record<string, unknown>;
  readonly threads: KernelThreads;

  constructor(memory: WebAssembly.Memory, exports: Record<string, unknown>, threads: KernelThreads) {
    this.words = new Int32Array(memory.buffer);
    this.floats = new Float32Array(memory.buffer);
    this.exports = exports;
    this.threads = threads;
  }

  /** Reads a norm's weights, as many as rows have floats. */
  loadNorm(
    { address, weights, residual, normed, offset }: PlannedNorm,
    hidden: number,
    read: ReadWeights,
  ): void {
    this.floats.set(new Float32Array(read(offset, hidden * 4)), weights / 4);
    describe(this.words, address, NORM, { residual, delta: 0, normed, weight: weights, rows: 0 });
  }

  /** Reads a matrix. */
  loadMatrix(matrix: PlannedMatrix, precision: LayerPlan['precision'], read: ReadWeights): void {
    packMatrix(this.words, matrix, precision, this.threads.count, read);
  }

  /** Adds `delta` to the stream of the first `rows` rows, and norms it, by `worker`. */
  addNorm(worker: 'addNorm' | 'headNorm', { address }: PlannedNorm, delta: number, rows: number): void {
    this.words[address / 4 + NORM.delta] = delta;
    this.words[address / 4 + NORM.rows] = rows;
    this.#runRows(worker, rows, address);
  }

  /** Rounds the first `rows` rows by `rounder` and multiplies them by a matrix. */
  multiply(rounder: 'round' | 'headRound', { worker, address }: PlannedMatrix, rows: number): void {
    this.words[address / 4 + MATRIX.rows] = rows;
    this.#runRows(rounder, rows, address);
    this.threads.run(worker, this.words[address / 4 + MATRIX.items]!, address);
  }

  #runRows(worker: WorkerName, rows: number, argument: number): void {
    this.threads.run(worker, rowItems(rows), argument);
  }
}
