import { LIMITS } from '@rondo/core';
import type { Target } from './kernel/target.ts';
import type { LayerPlan } from './layer-plan.ts';

/** Products of one layer's weights with rows of int8 up to which the kernel is faster, by how it sums them. */
const INT8_PRODUCTS = { fours: 120_000_000, pairs: 60_000_000 } as const;

/**
 * Most rows of a run that the kernel takes through layers of `weights` weights each in less time than the graph runtime, whose
 * products of int8 are faster where rows are many and whose start costs the same for any. (ADR 24)
 */
export function kernelRowsMax(
  { dots, registerVectors }: Target,
  precision: LayerPlan['precision'],
  weights: number,
): number {
  if (registerVectors === 1) return LIMITS.kernelRows;
  if (precision === 'int4') return LIMITS.stepRowsMax;
  const rows = Math.floor(INT8_PRODUCTS[dots] / weights);
  return Math.min(LIMITS.stepRowsMax, Math.max(LIMITS.kernelRows, rows));
}
