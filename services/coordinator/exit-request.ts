import type { Manifest } from '@rondo/bundle';
import type { ExitRule } from '@rondo/core';
import { invalid } from './openai-error.ts';

/** What a request may say about depth. */
export interface ExitFields {
  readonly min_depth?: number | undefined;
  readonly max_depth?: number | undefined;
  readonly exit_threshold?: number | undefined;
}

/**
 * The bundle's exit rule narrowed by a request. A threshold on a bundle that never exits by itself turns on the best
 * signal its block graph has: the gate before the latent difference.
 * @throws RondoError INVALID_REQUEST naming the field.
 */
export function narrowExit(manifest: Manifest, fields: ExitFields): ExitRule {
  const { exit, maxDepth: deepest } = manifest;
  const maxDepth = depth('max_depth', fields.max_depth, deepest) ?? deepest;
  const minDepth = depth('min_depth', fields.min_depth, deepest) ?? Math.min(exit.minDepth, maxDepth);
  if (minDepth > maxDepth) throw invalid('min_depth', `${minDepth} exceeds max_depth ${maxDepth}`);
  const threshold = fields.exit_threshold;
  if (threshold === undefined) return { policy: exit.policy, threshold: exit.threshold, minDepth, maxDepth };
  const policy = exit.policy === 'none' ? bestSignal(exit.signals) : exit.policy;
  if (policy === undefined) {
    throw invalid('exit_threshold', `the model '${manifest.name}' has no exit signal to compare it with`);
  }
  if (threshold < 0 || (policy === 'gate' && threshold > 1)) {
    const range =
      policy === 'gate' ? 'a cumulative probability from 0 to 1' : 'a relative change of 0 or more';
    throw invalid('exit_threshold', `expected ${range}, got ${threshold}`);
  }
  return { policy, threshold, minDepth, maxDepth };
}

const bestSignal = (signals: Manifest['exit']['signals']): 'gate' | 'latent-diff' | undefined =>
  signals.includes('gate') ? 'gate' : signals[0];

function depth(param: string, value: number | undefined, deepest: number): number | undefined {
  if (value !== undefined && (value < 1 || value > deepest)) {
    throw invalid(param, `expected 1 to ${deepest} passes, got ${value}`);
  }
  return value;
}
