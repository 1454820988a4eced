import type { ModelSpec } from './checkpoint.ts';
import type { LoopPlan } from './loop-plan.ts';
import type { ModelWeights } from './model-weights.ts';

/** What every graph of a bundle is written from. */
export interface GraphOptions {
  readonly model: ModelSpec;
  readonly weights: ModelWeights;
  readonly plan: LoopPlan;
  readonly pagePositions: number;
}
