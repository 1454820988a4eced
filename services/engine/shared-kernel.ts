import type { DepthGroup } from './depth-groups.ts';
import type { DepthFactors, PlannedFactors } from './factor-plan.ts';
import { NORM } from './kernel/add-norm.ts';
import { describe } from './kernel/description.ts';
import { MATRIX } from './kernel/matrix.ts';
import { rowItems } from './kernel/row-items.ts';
import { TILE_ROWS } from './kernel/row-tiles.ts';
import type { KernelThreads } from './kernel-threads.ts';
import type { LaidMatrix, LayerPlan, PlannedMatrix, PlannedNorm } from './layer-plan.ts';
import { packFactor, packMatrix } from './pack-matrix.ts';
import { type ReadWeights, remembering } from './reading-weights.ts';

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
    { address, weights, depths, offsets, residual, normed, offset }: PlannedNorm,
    hidden: number,
    read: ReadWeights,
  ): void {
    this.floats.set(new Float32Array(read(offset, hidden * depths * 4)), weights / 4);
    describe(this.words, address, NORM, { residual, delta: 0, normed, weight: weights, offsets, rows: 0 });
  }

  /** Reads a matrix. */
  loadMatrix(matrix: PlannedMatrix, precision: LayerPlan['precision'], read: ReadWeights): void {
    packMatrix(this.words, matrix, precision, this.threads.count, read);
  }

  /** Reads the factors of a linear. */
  loadFactors({ depths }: PlannedFactors, read: ReadWeights): void {
    // A of all depths and parts is one stored matrix.
    const readOnce = remembering(read);
    for (const factor of depths.flatMap(({ a, bs }) => [a, ...bs]))
      packFactor(this.words, factor, this.threads.count, readOnce);
  }

  /** Adds `delta` to the stream of the first `rows` rows, and norms it, by `worker`. */
  addNorm(worker: 'addNorm' | 'headNorm', { address }: PlannedNorm, delta: number, rows: number): void {
    this.words[address / 4 + NORM.delta] = delta;
    this.words[address / 4 + NORM.rows] = rows;
    this.threads.run(worker, rowItems(rows), address);
  }

  /** Rounds the first `rows` rows by `rounder` for each of the matrices, in one job. */
  round(rounder: 'round' | 'headRound' | 'factorRound', matrices: readonly LaidMatrix[], rows: number): void {
    matrices.forEach((matrix, at) => {
      this.#place(matrix, 0, rows);
      this.words[matrix.address / 4 + MATRIX.next] = matrices[at + 1]?.address ?? 0;
    });
    this.threads.run(rounder, rowItems(rows) * matrices.length, matrices[0]!.address);
  }

  /** Multiplies the rows that `round` has rounded by a matrix. */
  multiply({ worker, address }: LaidMatrix): void {
    this.threads.run(worker, this.words[address / 4 + MATRIX.items]!, address);
  }

  /** Adds or puts where its linear adds it what A and B of its depth make of each row; all rows are in `groups`. */
  multiplyFactors(
    { depths, roundsInput }: PlannedFactors,
    rows: number,
    groups: readonly DepthGroup[],
  ): void {
    const [{ a, bs }] = depths as [DepthFactors];
    if (roundsInput) this.round('factorRound', [a], rows);
    this.#multiplyGroups(groups, (depth) => [depths[depth]!.a]);
    this.round('factorRound', bs, rows);
    this.#multiplyGroups(groups, (depth) => depths[depth]!.bs);
  }

  /** Multiplies the rows of each group, which were rounded, by the matrices of its depth, all in one job. */
  #multiplyGroups(groups: readonly DepthGroup[], matricesOf: (depth: number) => readonly LaidMatrix[]): void {
    let items = 0;
    let last: LaidMatrix | undefined;
    for (const { depth, first, rows } of groups) {
      for (const matrix of matricesOf(depth)) {
        items += this.#place(matrix, first, rows);
        if (last) this.words[last.address / 4 + MATRIX.next] = matrix.address;
        last = matrix;
      }
    }
    const [{ worker, address }] = matricesOf(groups[0]!.depth) as [LaidMatrix];
    this.threads.run(worker, items, address);
  }

  /** Has a matrix work on some of the rows that are or will be rounded; returns its items. */
  #place({ address, rounded, target, targetRowBytes }: LaidMatrix, first: number, rows: number): number {
    const start = address / 4;
    const tileBytes = this.words[start + MATRIX.inputTileBytes]!;
    this.words[start + MATRIX.rows] = rows;
    this.words[start + MATRIX.firstRow] = first % TILE_ROWS;
    this.words[start + MATRIX.input] = rounded + Math.floor(first / TILE_ROWS) * tileBytes;
    this.words[start + MATRIX.output] = target + first * targetRowBytes;
    return this.words[start + MATRIX.items]!;
  }
}
