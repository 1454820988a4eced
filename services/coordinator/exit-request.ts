import type { Manifest } from '@rondo/bundle';
import { type ExitRule, THRESHOLD_RANGES } from '@rondo/core';
import { invalid } from './openai-error.ts';

/** What a request may say about depth. */
export interface ExitFields {
  readonly min_depth?: number | undefined;
  readonly max_depth?: number | undefined;
  readonly exit_threshold?: number | undefined;
  readonly exit_policy?: 'none' | 'gate' | 'latent-diff' | 'confidence' | undefined;
  readonly exit_depths?: readonly number[] | undefined;
}

/**
 * The bundle's exit rule narrowed by a request. A threshold on a bundle that never exits by itself turns on the best
 * signal its block graph has: the gate before the latent difference. Recorded depths replace any rule.
 * @throws RondoError INVALID_REQUEST naming the field.
 */
export function narrowExit(manifest: Manifest, fields: ExitFields): ExitRule {
  const { exit, maxDepth: deepest } = manifest;
  const maxDepth = depth('max_depth', fields.max_depth, deepest) ?? deepest;
  const minDepth = depth('min_depth', fields.min_depth, deepest) ?? Math.min(exit.minDepth, maxDepth);
  if (minDepth > maxDepth) throw invalid('min_depth', `${minDepth} exceeds max_depth ${maxDepth}`);
  const depths = fields.exit_depths;
  if (depths) {
    for (const passes of depths) depth('exit_depths', passes, deepest);
    return { policy: 'replay', threshold: 0, minDepth, maxDepth, depths };
  }
  const policy = policyOf(manifest, fields);
  if (policy === 'none') return { policy, threshold: exit.threshold, minDepth, maxDepth };
  const threshold = fields.exit_threshold ?? (policy === exit.policy ? exit.threshold : undefined);
  if (threshold === undefined) {
    throw invalid('exit_threshold', `exit_policy ${policy} needs one: the model has no default for it`);
  }
  const [range, highest] = THRESHOLD_RANGES[policy];
  if (threshold < 0 || threshold > highest) {
    throw invalid('exit_threshold', `expected ${range}, got ${threshold}`);
  }
  return { policy, threshold, minDepth, maxDepth };
}

function policyOf({ exit, name }: Manifest, fields: ExitFields): Manifest['exit']['policy'] {
  const asked = fields.exit_policy;
  if (asked === undefined) {
    if (fields.exit_threshold === undefined || exit.policy !== 'none') return exit.policy;
    const best = exit.signals.includes('gate') ? 'gate' : exit.signals[0];
    if (best) return best;
    throw invalid('exit_threshold', `the model '${name}' has no exit signal to compare it with`);
  }
  if ((asked === 'gate' || asked === 'latent-diff') && !exit.signals.includes(asked)) {
    throw invalid('exit_policy', `the model '${name}' has no ${asked} signal`);
  }
  return asked;
}

function depth(param: string, value: number | undefined, deepest: number): number | undefined {
  if (value !== undefined && (value < 1 || value > deepest)) {
    throw invalid(param, `expected 1 to ${deepest} passes, got ${value}`);
  }
  return value;
}
