import { type AdapterOptions, type AdapterTarget, targetShape } from './adapters-weights.ts';
import type { RankWish } from './low-rank.ts';
import type { LowRankThreads } from './low-rank-threads.ts';
import type { ModelSpec } from './model-spec.ts';

/** A model whose layers were tied, and what they lost by it. */
interface Residuals {
  readonly model: ModelSpec;
  /** W_l − W'_k, [out, in]. */
  residual(layer: number, depth: number, target: AdapterTarget): Promise<Float32Array>;
}

/**
 * Factors that give each depth back most of what its layer lost when it was tied: B = UΣ, A = Vᵀ of the residual's truncated
 * singular value decomposition. (Relaxed Recursive Transformers, Bae et al. 2024, eq. 4–5)
 */
export const residualFactors =
  (tied: Residuals, wish: RankWish, threads: LowRankThreads): AdapterOptions['factorsOf'] =>
  async (layer, depth, target) => {
    const [out, columns] = targetShape(tied.model, target);
    return threads.decompose(await tied.residual(layer, depth, target), out, columns, wish);
  };
