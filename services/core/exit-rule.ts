/** How a row's exit is decided. `none` runs every pass; `gate` and `latent-diff` read signals of the block graph. */
export type ExitPolicy = 'none' | 'gate' | 'latent-diff';

/** The bundle's exit rule narrowed by the request. 1 ≤ minDepth ≤ maxDepth ≤ R, both counted in passes. */
export interface ExitRule {
  readonly policy: ExitPolicy;
  /** `gate`: cumulative exit probability to reach; `latent-diff`: relative change of the state to fall below. */
  readonly threshold: number;
  readonly minDepth: number;
  readonly maxDepth: number;
}

/** What the passes so far said about one row. */
export interface ExitSignal {
  /** Gate probability λ of the pass that just ran, when the model has a gate. */
  readonly gate?: number;
  /** ‖h_t − h_{t−1}‖ / ‖h_t‖ of the pass that just ran. */
  readonly latentDiff?: number;
}

/** Survival probability ∏(1 − λ) of a row after another pass with gate λ. (Ouro, arXiv 2510.25741 §3) */
export const survive = (survival: number, gate: number): number => survival * (1 - gate);

/**
 * True when a row that has spent `passes` passes needs no deeper one.
 * `survival` is ∏(1 − λ) including the last pass; the gate leaves at the first depth whose CDF 1 − survival ≥ q.
 */
export function shouldExit(rule: ExitRule, passes: number, survival: number, signal: ExitSignal): boolean {
  if (passes >= rule.maxDepth) return true;
  if (passes < rule.minDepth) return false;
  switch (rule.policy) {
    case 'none':
      return false;
    case 'gate':
      return 1 - survival >= rule.threshold;
    case 'latent-diff':
      return signal.latentDiff !== undefined && signal.latentDiff < rule.threshold;
  }
}

/** True when the rule can let a row leave before pass `bundleMaxDepth`. */
export const mayExitEarly = (rule: ExitRule, bundleMaxDepth: number): boolean =>
  rule.maxDepth < bundleMaxDepth || (rule.policy !== 'none' && rule.minDepth < bundleMaxDepth);
