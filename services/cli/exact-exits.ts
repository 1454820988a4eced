import type { Bundle } from '@rondo/bundle';
import { RondoError, THRESHOLD_RANGES } from '@rondo/core';
import { LIVE_POLICIES, type LivePolicy, livePolicies } from '@rondo/lab';
import { refuse } from './options.ts';

/** A way of leaving the loop, `latent-diff:0.1`. */
export interface ExactExit {
  readonly policy: LivePolicy;
  readonly threshold: number;
}

/** Parses `policy:threshold,…`, of thresholds above 0, after those that were given `earlier`. */
export const exactExits = (value: string, earlier: readonly ExactExit[] = []): ExactExit[] => [
  ...earlier,
  ...value.split(',').map((part) => {
    const [, name, number] = /^([a-z-]+):(\d*\.?\d+(?:e[+-]?\d+)?)$/.exec(part) ?? [];
    const policy = LIVE_POLICIES.find((live) => live === name);
    if (!policy) {
      return refuse(
        '--exits',
        part,
        `policy:threshold, of ${LIVE_POLICIES.join(', ')}, such as latent-diff:0.1`,
      );
    }
    const threshold = Number(number);
    const [range, highest] = THRESHOLD_RANGES[policy];
    return threshold > 0 && threshold <= highest
      ? { policy, threshold }
      : refuse('--exits', part, `${range}, and above 0`);
  }),
];

/**
 * @throws RondoError CONFIG_INVALID for a way by which no row of `bundle` would ever leave: it has no such signal, or always runs
 * every pass. A server takes a request that asks for the latter; here its figure would pass for what such an exit costs.
 */
export function refuseUnserved({ directory, manifest }: Bundle, exits: readonly ExactExit[]): void {
  const { maxDepth, exit } = manifest;
  if (exits[0] && exit.minDepth >= maxDepth) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--exits ${exits[0].policy}:${exits[0].threshold}: no token of ${directory} leaves before pass ${exit.minDepth}, its last: leave --exits out`,
    );
  }
  const able = livePolicies(manifest);
  const unable = exits.find(({ policy }) => !able.includes(policy));
  if (!unable) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `--exits ${unable.policy}:${unable.threshold}: ${directory} has no ${unable.policy} signal: choose of ${able.join(', ')}`,
  );
}
