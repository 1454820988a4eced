import type { AdapterWeights } from './adapters-weights.ts';
import type { ModelSpec } from './checkpoint.ts';
import type { LoopPlan } from './loop-plan.ts';
import { isPerDepth, type ModelWeights } from './model-weights.ts';

/** What every graph of a bundle is written from. */
export interface GraphOptions {
  readonly model: ModelSpec;
  readonly weights: ModelWeights;
  readonly plan: LoopPlan;
  readonly pagePositions: number;
  /** Of the block's layers; only its segments can run them. */
  readonly adapters?: AdapterWeights | undefined;
  /** Whether products of integers may be used, and a norm with a weight for each row, which not every provider has; by default they are. */
  readonly integers?: boolean | undefined;
}

/** Whether a pass is another one at every depth: the graphs of the block then need to know each row's. */
export const variesByDepth = ({
  adapters,
  plan,
  weights,
}: Pick<GraphOptions, 'adapters' | 'plan' | 'weights'>): boolean =>
  adapters !== undefined || plan.block.some((layer) => isPerDepth(weights.layers[layer]!.attentionNorm));
