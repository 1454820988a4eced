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
  /** Of the block's layers. */
  readonly adapters?: AdapterWeights | undefined;
  /** Whether it may hold what only the CPU's provider has: products of integers, and norms with a weight for each row. By default it may. */
  readonly integers?: boolean | undefined;
}

/** `variesByDepth` of the manifest that will be written: the graphs of the block then need to know each row's depth. */
export const graphsVaryByDepth = ({
  adapters,
  plan,
  weights,
}: Pick<GraphOptions, 'adapters' | 'plan' | 'weights'>): boolean =>
  adapters !== undefined || plan.block.some((layer) => isPerDepth(weights.layers[layer]!.attentionNorm));
