import { median } from '../load/quantile.ts';
import {
  beside,
  type DepthFindings,
  type DepthSample,
  depthOf,
  find,
  type Group,
  meanDepth,
} from './depth-cells.ts';
import type { RowCosts, RowsPerToken } from './depth-load.ts';

/**
 * What exits can win at most: (F0 + R·Fr) / (F0 + d̄·Fr), d̄ the mean passes of an answer's rows, F0 the prelude, coda and
 * head of a token. A prompt's rows run every pass on either side.
 */
export const ceilingOf = (costs: RowCosts, rows: RowsPerToken, maxDepth: number, meanDepth: number): number =>
  tokenMs(costs, rows, maxDepth, maxDepth) / tokenMs(costs, rows, maxDepth, meanDepth);

/** Of the engine for one token, in milliseconds. */
const tokenMs = (costs: RowCosts, rows: RowsPerToken, maxDepth: number, meanDepth: number): number =>
  costs.headMs +
  (rows.prompt + rows.answer) * costs.stacksMs +
  (rows.prompt * maxDepth + rows.answer * meanDepth) * costs.passMs;

/**
 * Of the same windows as the rates that are held against the ceiling, so that a machine that drifts moves both: medians
 * over those of `depth` at saturation.
 */
export function saturatedCosts({ samples, saturation }: DepthFindings): RowCosts {
  const costs = samples.flatMap(({ policy, loop, load, runs }) =>
    policy === 'depth' && loop === 'closed' && load === saturation && runs ? [runs.costs] : [],
  );
  return {
    headMs: median(costs.map(({ headMs }) => headMs)),
    stacksMs: median(costs.map(({ stacksMs }) => stacksMs)),
    passMs: median(costs.map(({ passMs }) => passMs)),
  };
}

/** Of the ceiling of exits, in per cent: medians over repeats, each held against its neighbour without exits. */
export interface CeilingShare {
  readonly ceiling: number;
  /** Throughput to that without exits, by the ceiling of the costs there. */
  readonly reached: number;
  /**
   * The same with each rate against F0 and Fr of its own window. A machine that is a tenth slower for some seconds moves both sides, and
   * so do runs that are emptier: what is left is how busy exits keep the engine.
   */
  readonly busy: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Undefined where exits play no part. Without them `together` is `depth`. */
export function shareOfCeiling(
  found: DepthFindings,
  all: readonly Group[],
  group: Group,
): CeilingShare | undefined {
  const { policy, mix, loop, load } = group;
  const byDepth = policy === 'depth' || policy === 'together';
  if (!byDepth || mix === 'none' || loop !== 'closed' || load !== found.saturation) return undefined;
  const { rows, maxDepth } = found;
  const without = find(all, { policy: 'depth', mix: 'none', loop, load });
  const rate = ({ summary }: DepthSample) => summary.steadyTokensPerS;
  const ceilingBy = (costs: RowCosts, sample: DepthSample) =>
    ceilingOf(costs, rows, maxDepth, depthOf(sample, maxDepth));
  const reached = beside(
    group,
    without,
    (sample, full) => (100 * rate(sample)) / rate(full) / ceilingBy(full.runs!.costs, sample),
  );
  const busy = (sample: DepthSample) =>
    rate(sample) * tokenMs(sample.runs!.costs, rows, maxDepth, depthOf(sample, maxDepth));
  return {
    ceiling: ceilingOf(saturatedCosts(found), rows, maxDepth, meanDepth(found, group)),
    reached: median(reached),
    busy: median(beside(group, without, (sample, full) => (100 * busy(sample)) / busy(full))),
    lowest: Math.min(...reached),
    highest: Math.max(...reached),
  };
}
