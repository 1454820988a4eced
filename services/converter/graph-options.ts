import type { AdapterWeights } from './adapters-weights.ts';
import type { ModelSpec } from './checkpoint.ts';
import type { LoopPlan } from './loop-plan.ts';
import type { ModelWeights } from './model-weights.ts';

/** What every graph of a bundle is written from. */
export interface GraphOptions {
  readonly model: ModelSpec;
  readonly weights: ModelWeights;
  readonly plan: LoopPlan;
  readonly pagePositions: number;
  /** Of the block's layers; only its segments can run them. */
  readonly adapters?: AdapterWeights | undefined;
}
