import type { Bundle, Manifest } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import type { HeadBatch, HeadResult } from './engine.ts';
import { addNormFunction, NORM_WORDS } from './kernel/add-norm.ts';
import { describe } from './kernel/description.ts';
import { expSumsFunction, SLICED, SLICED_WORDS } from './kernel/exp-sums.ts';
import { int8Product } from './kernel/int8-product.ts';
import { MATRIX_WORDS, RANGE, RANGE_WORDS } from './kernel/matrix.ts';
import type { MemoryPlan } from './kernel/memory-plan.ts';
import type { WasmFunction } from './kernel/module.ts';
import { roundFunction } from './kernel/round.ts';
import { roundRows } from './kernel/round-rows.ts';
import { roundedTileBytes, SIXTEEN } from './kernel/rounded-row.ts';
import { tilesBytes } from './kernel/row-tiles.ts';
import type { Target } from './kernel/target.ts';
import type { PlannedMatrix, PlannedNorm } from './layer-plan.ts';
import { readingWeights } from './reading-weights.ts';
import type { SharedKernel } from './shared-kernel.ts';
import { topK } from './top-k.ts';

/** Where the head's weights and the values of a few rows lie in the kernel's memory. */
export interface HeadPlan {
  readonly file: string;
  readonly hidden: number;
  readonly vocab: number;
  readonly candidates: number;
  readonly normEpsilon: number;
  /** Absent where every pass ends with it. */
  readonly norm: PlannedNorm | undefined;
  readonly matrix: PlannedMatrix;
  /** Addresses of states, f32 rows, and of what sums up the logits. */
  readonly state: number;
  readonly sliced: number;
  readonly sums: number;
}

/** Parts of a row of logits that threads sum up, so that both have some. */
const SLICES = 8;

/** Reserves memory for the head; undefined for one that the kernel does not know or that is too large to hold twice. */
export function planHead(
  { headWeights, shape, headCandidates }: Manifest,
  plan: MemoryPlan,
): HeadPlan | undefined {
  if (!headWeights) return undefined;
  const { hidden, vocab } = shape;
  const bytes = vocab * hidden;
  if (bytes > LIMITS.kernelWeightBytesMax) return undefined;
  const { file, normEpsilon, finalNorm, data, scales } = headWeights;
  const rows = (floats: number) => plan.floats(floats * LIMITS.kernelRows);
  const [state, normed, zeros] = [rows(hidden), rows(hidden), rows(hidden)];
  const address = plan.floats(MATRIX_WORDS);
  return {
    file,
    hidden,
    vocab,
    candidates: Math.min(headCandidates, vocab),
    normEpsilon,
    norm:
      finalNorm === undefined
        ? undefined
        : {
            address: plan.floats(NORM_WORDS),
            weights: plan.floats(hidden),
            ...{ depths: 1, offsets: zeros, residual: state, delta: zeros, normed },
            ...{ matrix: address, offset: finalNorm },
          },
    matrix: {
      place: { data, scales },
      multiplier: 'headProduct',
      outputs: vocab,
      blocks: hidden / SIXTEEN,
      address,
      weights: plan.floats(bytes / 4),
      scales: plan.floats(vocab),
      zeros: 0,
      source: finalNorm === undefined ? state : normed,
      rounded: plan.floats(tilesBytes(LIMITS.kernelRows, roundedTileBytes(hidden)) / 4),
      target: rows(vocab),
      sourceRowBytes: hidden * 4,
      targetRowBytes: vocab * 4,
      range: plan.floats(RANGE_WORDS),
    },
    state,
    sliced: plan.floats(SLICED_WORDS),
    sums: rows(SLICES * 2),
  };
}

/** What the kernel has for the head. */
export const headFunctions = ({ hidden, normEpsilon }: HeadPlan, target: Target): WasmFunction[] => [
  int8Product('headProduct', {}, target),
  expSumsFunction('headSums'),
  addNormFunction('headNorm', hidden, normEpsilon),
  roundFunction('headRound', roundRows('divisions')),
];

/** Final norm, logits, candidates and log Σ exp of a few rows without the graph runtime. (ADR 24) */
export class HeadKernel {
  readonly #plan: HeadPlan;
  readonly #kernel: SharedKernel;

  constructor(plan: HeadPlan, kernel: SharedKernel) {
    this.#plan = plan;
    this.#kernel = kernel;
    const sliceBytes = Math.ceil(plan.vocab / 4 / SLICES) * 16;
    describe(kernel.words, plan.sliced, SLICED, {
      values: plan.matrix.target,
      rowBytes: plan.vocab * 4,
      sliceBytes,
      slices: Math.ceil((plan.vocab * 4) / sliceBytes),
      sums: plan.sums,
    });
  }

  /** Reads the weights. @throws RondoError BUNDLE_INVALID for a file that ends before they do. */
  load(bundle: Bundle): void {
    const { file, hidden, norm, matrix } = this.#plan;
    readingWeights(bundle, file, (read) => {
      if (norm) this.#kernel.loadNorm(norm, hidden, read);
      this.#kernel.loadMatrix(matrix, 'int8', read);
    });
  }

  takes(rows: number): boolean {
    return rows <= LIMITS.kernelRows;
  }

  run({ state, wantLogits }: HeadBatch): HeadResult {
    const begin = performance.now();
    const { hidden, vocab, candidates, norm, matrix, sliced, sums } = this.#plan;
    const { words, floats, threads } = this.#kernel;
    const rows = state.length / hidden;
    const slices = words[sliced / 4 + SLICED.slices]!;
    floats.set(state, this.#plan.state / 4);
    describe(words, matrix.range, RANGE, { first: 0, rows });
    threads.gather();
    if (norm) this.#kernel.addNorm('headNorm', norm, rows);
    this.#kernel.round('headRound', matrix, rows);
    this.#kernel.multiply({ matrix, factors: undefined });
    threads.run('headSums', rows * slices, sliced);
    threads.dismiss();
    const logits = floats.subarray(matrix.target / 4, matrix.target / 4 + rows * vocab);
    const [topLogits, topIds] = [new Float32Array(rows * candidates), new Int32Array(rows * candidates)];
    const logSumExp = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      const part = <Values extends Float32Array | Int32Array>(values: Values) =>
        values.subarray(row * candidates, (row + 1) * candidates) as Values;
      topK(logits.subarray(row * vocab, (row + 1) * vocab), part(topLogits), part(topIds));
      const start = sums / 4 + row * slices * 2;
      logSumExp[row] = joinedSum(floats.subarray(start, start + slices * 2), topLogits[row * candidates]!);
    }
    return {
      topLogits,
      topIds,
      logSumExp,
      ...(wantLogits && { logits: Float32Array.from(logits) }),
      runMs: performance.now() - begin,
    };
  }
}

/** log Σ exp over slices that each tell their largest value and Σ exp(value − largest); `largest` is that of all. */
function joinedSum(slices: Float32Array, largest: number): number {
  let total = 0;
  for (let at = 0; at < slices.length; at += 2) total += slices[at + 1]! * Math.exp(slices[at]! - largest);
  return largest + Math.log(total);
}
