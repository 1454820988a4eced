import { MATRIX } from './kernel/product.ts';
import type { KernelThreads } from './kernel-threads.ts';
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
  loadNorm({ address, offset }: PlannedNorm, hidden: number, read: ReadWeights): void {
    this.floats.set(new Float32Array(read(offset, hidden * 4)), address / 4);
  }

  /** Reads a matrix that multiplies rows at `rounded`. */
  loadMatrix(matrix: PlannedMatrix, plan: Pick<LayerPlan, 'precision' | 'rounded'>, read: ReadWeights): void {
    packMatrix(this.words.buffer as SharedArrayBuffer, matrix, plan, this.threads.count, read);
  }

  /** Multiplies the first `rows` of the rounded rows by a matrix, on all threads that are gathered. */
  multiply({ worker, address }: PlannedMatrix, rows: number): void {
    this.words[address / 4 + MATRIX.rows] = rows;
    this.threads.run(worker, this.words[address / 4 + MATRIX.items]!, address);
  }
}
