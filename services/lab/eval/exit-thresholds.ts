import type { Manifest } from '@rondo/bundle';
import { type ExitRule, survive } from '@rondo/core';
import { quantile } from '../load/quantile.ts';
import { appendRows } from './appended-rows.ts';
import type { Head } from './head.ts';
import type { Sequences } from './sequences.ts';
import type { SuiteSettings } from './suite.ts';
import type { Window } from './windows.ts';

/** Policies that decide while rows run. */
export const LIVE_POLICIES = ['gate', 'latent-diff', 'confidence'] as const;
export type LivePolicy = (typeof LIVE_POLICIES)[number];

/** A threshold of one policy: given, or to be found where about a share `saving` of the passes that can be saved is. */
export type AskedExit =
  | { readonly policy: LivePolicy; readonly threshold: number }
  | { readonly policy: LivePolicy; readonly saving: number };

/** A rule that rows leave by, and which share of the passes it was to save when its threshold was measured. */
export interface EvalRule extends ExitRule {
  readonly policy: LivePolicy;
  readonly saving?: number;
}

/** Whether more than the threshold lets a row leave; else less than it. */
const leavesAbove = (policy: LivePolicy): boolean => policy !== 'latent-diff';

/** Policies that a model can be served with: the head says how sure it is, other signals the block graph must put out. */
export const livePolicies = ({ exit }: Pick<Manifest, 'exit'>): LivePolicy[] =>
  LIVE_POLICIES.filter((policy) => policy === 'confidence' || exit.signals.includes(policy));

/** What of a suite's exits a model can be served with; none for one that must run every pass. */
export function askedExits(manifest: Manifest, exits: SuiteSettings['exits']): AskedExit[] {
  if (manifest.exit.minDepth >= manifest.maxDepth) return [];
  return livePolicies(manifest).flatMap((policy) => [
    ...exits[policy].map((threshold) => ({ policy, threshold })),
    ...exits.saving.map((saving) => ({ policy, saving })),
  ]);
}

/**
 * The rules that `asked` stands for. A threshold that is to save a share of the passes is the quantile of the model's own signals
 * over the scored rows of `windows`: a row has left by some pass when the strongest signal so far is beyond the threshold,
 * so of the strongest signals after every pass that can be the last but one, pooled, that share must be. The signals
 * are those of rows none of which leaves; what exits really spend is measured later.
 */
export async function measuredRules(
  model: Sequences,
  asked: readonly AskedExit[],
  windows: readonly Window[],
): Promise<EvalRule[]> {
  const { maxDepth, exit } = model.bundle.manifest;
  const bounds = { minDepth: exit.minDepth, maxDepth };
  const policies = new Set(asked.flatMap((each) => ('saving' in each ? [each.policy] : [])));
  const strongest =
    policies.size > 0
      ? await strongestSignals(model, [...policies], windows)
      : new Map<LivePolicy, number[]>();
  return asked.map((each) => {
    if ('threshold' in each) return { ...each, ...bounds };
    return {
      ...each,
      ...bounds,
      threshold: savingThreshold(each.policy, strongest.get(each.policy)!, each.saving),
    };
  });
}

/** The threshold beyond which a share `saving` of the strongest signals lies. */
export const savingThreshold = (policy: LivePolicy, strongest: readonly number[], saving: number): number =>
  quantile(strongest, leavesAbove(policy) ? 1 - saving : saving);

/** For each policy the strongest signal of every scored row so far, after every pass that it may leave after. */
async function strongestSignals(
  model: Sequences,
  policies: readonly LivePolicy[],
  windows: readonly Window[],
): Promise<Map<LivePolicy, number[]>> {
  const { maxDepth, exit } = model.bundle.manifest;
  const exits = Array.from({ length: maxDepth - 1 }, (_, pass) => pass + 1);
  const pooled = new Map(policies.map((policy) => [policy, [] as number[]]));
  for (const window of windows) {
    const sequence = model.create();
    const rows = window.ids.length - window.context;
    const survival = new Float64Array(rows).fill(1);
    const strongest = new Map(policies.map((policy) => [policy, new Float64Array(rows).fill(Number.NaN)]));
    const append = { sequence, ids: window.ids.slice(0, -1), heads: rows };
    await appendRows(model, [append], exits, (_, first, heads, passes) => {
      heads.forEach((head, at) => {
        const row = first + at;
        if (head.gate !== undefined) survival[row] = survive(survival[row]!, head.gate);
        if (passes < exit.minDepth) return;
        for (const policy of policies) {
          const values = strongest.get(policy)!;
          const value = signalOf(policy, head, survival[row]!);
          values[row] = stronger(policy, values[row]!, value);
          pooled.get(policy)!.push(values[row]!);
        }
      });
    });
    model.release(sequence);
  }
  return pooled;
}

function signalOf(policy: LivePolicy, head: Head, survival: number): number {
  switch (policy) {
    case 'gate':
      return 1 - survival;
    case 'latent-diff':
      return head.latentDiff!;
    case 'confidence':
      return Math.exp(head.logits[head.topId]! - head.logSumExp);
  }
}

function stronger(policy: LivePolicy, before: number, now: number): number {
  if (Number.isNaN(before)) return now;
  return leavesAbove(policy) ? Math.max(before, now) : Math.min(before, now);
}
