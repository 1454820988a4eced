import type { PlannedFactors } from './factor-plan.ts';
import { ADAPTED } from './kernel/adapted-product.ts';
import { NORM } from './kernel/add-norm.ts';
import { describe } from './kernel/description.ts';
import { MATRIX } from './kernel/matrix.ts';
import { rowItems } from './kernel/row-items.ts';
import type { KernelThreads } from './kernel-threads.ts';
import {
  isGated,
  type LaidMatrix,
  type LayerPlan,
  type PlannedLinear,
  type PlannedMatrix,
  type PlannedNorm,
} from './layer-plan.ts';
import { describeRows, packFactor, packMatrix } from './pack-matrix.ts';
import { type ReadWeights, releasing, remembering } from './reading-weights.ts';

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
    { address, weights, depths, offsets, residual, delta, normed, matrix, offset }: PlannedNorm,
    hidden: number,
    read: ReadWeights,
  ): void {
    this.floats.set(new Float32Array(read(offset, hidden * depths * 4)), weights / 4);
    describe(this.words, address, NORM, { residual, delta, normed, weight: weights, offsets, matrix });
  }

  /** Reads a matrix. */
  loadMatrix(matrix: PlannedMatrix, precision: LayerPlan['precision'], read: ReadWeights): void {
    releasing(read, (read) => packMatrix(this.words, matrix, precision, this.threads.count, read));
  }

  /** Reads the factors of a linear, whose matrix is read, and has them take part in its product. */
  loadFactors({ address: matrix }: PlannedMatrix, factors: PlannedFactors, read: ReadWeights): void {
    const { address, depths, lows, run, roundsInput } = factors;
    releasing(read, (read) => {
      // A of all depths and parts is one stored matrix.
      const readOnce = remembering(read);
      for (const factor of depths.flatMap(({ a, bs }) => [a, ...bs]))
        packFactor(this.words, factor, this.threads.count, readOnce);
    });
    for (const low of lows) describeRows(this.words, low);
    const as = depths.map(({ a }) => a);
    const factorItems = as.reduce((sum, a) => sum + this.words[a.address / 4 + MATRIX.items]!, 0);
    describe(this.words, address, ADAPTED, {
      ...{ matrix, factors: this.#link(as, 'next'), factorItems },
      ...{ lows: this.#link(lows, 'next'), lowParts: lows.length },
      ...{ left: factorItems, rounded: 0, run },
    });
    for (const { bs } of depths) this.#link(bs, 'next');
    const heads = depths.map(({ bs: [head] }) => head!);
    this.words[matrix / 4 + MATRIX.addends] = this.#link(heads, 'nextAddends');
    if (roundsInput) this.words[matrix / 4 + MATRIX.next] = as[0]!.address;
  }

  /** Puts matrices one behind the other; returns the first's address. */
  #link(matrices: readonly LaidMatrix[], by: 'next' | 'nextAddends'): number {
    matrices.forEach(({ address }, at) => {
      this.words[address / 4 + MATRIX[by]] = matrices[at + 1]?.address ?? 0;
    });
    return matrices[0]!.address;
  }

  /** Adds what is due to the stream, norms the rows of its matrix's range, of which there are `rows`, and rounds them where `norm` does. */
  addNorm(norm: 'addNorm' | 'headNorm', { address }: PlannedNorm, rows: number): void {
    this.threads.run(norm, rowItems(rows), address);
  }

  /** Rounds the rows of a matrix's range, of which there are `rows`, for it and for its factors. */
  round(rounder: 'round' | 'headRound', { address }: PlannedMatrix, rows: number): void {
    this.threads.run(rounder, rowItems(rows), address);
  }

  /** Multiplies rows that are rounded by a linear's matrix, and by its factors of their depths. */
  multiply({ matrix, factors }: PlannedLinear): void {
    const items = this.words[matrix.address / 4 + MATRIX.items]!;
    if (!factors) this.threads.run(matrix.multiplier, items, matrix.address);
    else {
      const multiplier = isGated(matrix) ? 'adaptedGated' : 'adaptedProduct';
      const factorItems = this.words[factors.address / 4 + ADAPTED.factorItems]!;
      this.threads.run(multiplier, factorItems + items, factors.address);
    }
  }
}
