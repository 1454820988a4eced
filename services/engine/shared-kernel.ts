import type { DepthGroup } from './depth-groups.ts';
import type { DepthFactors, PlannedFactors } from './factor-plan.ts';
import { ACTIVE } from './kernel/activate.ts';
import { NORM } from './kernel/add-norm.ts';
import { describe } from './kernel/description.ts';
import { MATRIX } from './kernel/product.ts';
import { rowItems } from './kernel/row-items.ts';
import { TILE_ROWS } from './kernel/row-tiles.ts';
import type { KernelThreads, WorkerName } from './kernel-threads.ts';
import type { LaidMatrix, LayerPlan, PlannedActivation, PlannedMatrix, PlannedNorm } from './layer-plan.ts';
import { packFactor, packMatrix } from './pack-matrix.ts';
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

  loadFactors({ depths }: PlannedFactors, read: ReadWeights): void {
    for (const factor of depths.flatMap(({ a, bs }) => [a, ...bs]))
      packFactor(this.words, factor, this.threads.count, read);
  }

  /** Adds `delta` to the stream of the first `rows` rows, and norms it, by `worker`. */
  addNorm(worker: 'addNorm' | 'headNorm', { address }: PlannedNorm, delta: number, rows: number): void {
    this.words[address / 4 + NORM.delta] = delta;
    this.words[address / 4 + NORM.rows] = rows;
    this.#runRows(worker, rows, address);
  }

  /** Rounds the first `rows` rows by `rounder` and multiplies them by a matrix. */
  multiply(rounder: 'round' | 'headRound', matrix: LaidMatrix, rows: number): void {
    this.#round(rounder, matrix, rows);
    this.#multiplyRounded(matrix, 0, rows);
  }

  /** Adds what A and B of its depth make of each row to what its linear put out; all rows are in `groups`. */
  addFactors({ depths, roundsInput }: PlannedFactors, rows: number, groups: readonly DepthGroup[]): void {
    const [{ a, bs }] = depths as [DepthFactors];
    if (roundsInput) this.#round('factorRound', a, rows);
    for (const { depth, first, rows } of groups) this.#multiplyRounded(depths[depth]!.a, first, rows);
    bs.forEach((b, part) => {
      this.#round('factorRound', b, rows);
      for (const { depth, first, rows } of groups)
        this.#multiplyRounded(depths[depth]!.bs[part]!, first, rows);
    });
  }

  describeActivation({ address, source, target, rowBytes }: PlannedActivation): void {
    describe(this.words, address, ACTIVE, { source, target, rowBytes, rows: 0 });
  }

  /** Gates the first `rows` rows. */
  activate({ address }: PlannedActivation, rows: number): void {
    this.words[address / 4 + ACTIVE.rows] = rows;
    this.#runRows('activate', rows, address);
  }

  #round(
    rounder: 'round' | 'headRound' | 'factorRound',
    { address, rounded }: LaidMatrix,
    rows: number,
  ): void {
    this.words[address / 4 + MATRIX.rows] = rows;
    this.words[address / 4 + MATRIX.input] = rounded;
    this.#runRows(rounder, rows, address);
  }

  /** Multiplies some of the rows that were rounded. */
  #multiplyRounded(
    { worker, address, rounded, target, targetRowBytes }: LaidMatrix,
    first: number,
    rows: number,
  ): void {
    const start = address / 4;
    const tileBytes = this.words[start + MATRIX.inputTileBytes]!;
    this.words[start + MATRIX.rows] = rows;
    this.words[start + MATRIX.firstRow] = first % TILE_ROWS;
    this.words[start + MATRIX.input] = rounded + Math.floor(first / TILE_ROWS) * tileBytes;
    this.words[start + MATRIX.output] = target + first * targetRowBytes;
    this.threads.run(worker, this.words[start + MATRIX.items]!, address);
  }

  #runRows(worker: WorkerName, rows: number, argument: number): void {
    this.threads.run(worker, rowItems(rows), argument);
  }
}
