/**
 * How a row's exit is decided. `none` runs every pass; `gate` and `latent-diff` read signals of the block graph;
 * `confidence` asks the head after each pass; `replay` leaves at recorded depths.
 */
export type ExitPolicy = 'none' | 'gate' | 'latent-diff' | 'confidence' | 'replay';

/** The bundle's exit rule narrowed by the request. 1 ≤ minDepth ≤ maxDepth ≤ R, both counted in passes. */
export interface ExitRule {
  readonly policy: ExitPolicy;
  /**
   * `gate`: cumulative exit probability to reach; `latent-diff`: relative change of the state to fall below;
   * `confidence`: probability of the likeliest token to reach.
   */
  readonly threshold: number;
  readonly minDepth: number;
  readonly maxDepth: number;
  /** `replay`: passes that generated row i spends are depths[i mod length]; at least one. */
  readonly depths?: readonly number[] | undefined;
}

/** Thresholds of the policies that have one, from 0: in words, and the highest. */
export const THRESHOLD_RANGES = {
  gate: ['a cumulative probability from 0 to 1', 1],
  'latent-diff': ['a relative change of 0 or more', Number.MAX_VALUE],
  confidence: ['a probability from 0 to 1', 1],
} as const;

/** What the passes so far said about one row. */
export interface ExitSignal {
  /** ∏(1 − λ) of the gate over the passes spent, when the model has a gate. */
  readonly survival: number;
  /** ‖h_t − h_{t−1}‖ / ‖h_t‖ of the pass that just ran. (Geiping et al. 2025, arXiv 2502.05171 §6.1) */
  readonly latentDiff?: number | undefined;
  /** Probability of the likeliest token after the pass that just ran, once the head was asked. (CALM, Schuster et al. 2022, eq. 4) */
  readonly confidence?: number | undefined;
  /** Index of the row among the generated ones. */
  readonly row: number;
}

/** Survival probability ∏(1 − λ) of a row after another pass with gate λ. (Ouro, arXiv 2510.25741 §3) */
export const survive = (survival: number, gate: number): number => survival * (1 - gate);

/**
 * Whether a row that has spent `passes` passes needs a deeper one. 'ask-head' when only the head's confidence can tell.
 * The gate leaves at the first depth whose CDF 1 − survival ≥ q.
 */
export function decideExit(
  rule: ExitRule,
  passes: number,
  signal: ExitSignal,
): 'exit' | 'go-on' | 'ask-head' {
  if (passes >= rule.maxDepth) return 'exit';
  if (passes < rule.minDepth) return 'go-on';
  const exitIf = (reached: boolean) => (reached ? 'exit' : 'go-on');
  switch (rule.policy) {
    case 'none':
      return 'go-on';
    case 'gate':
      return exitIf(1 - signal.survival >= rule.threshold);
    case 'latent-diff':
      return exitIf(signal.latentDiff !== undefined && signal.latentDiff < rule.threshold);
    case 'confidence':
      return signal.confidence === undefined ? 'ask-head' : exitIf(signal.confidence >= rule.threshold);
    case 'replay':
      return exitIf(passes >= rule.depths![signal.row % rule.depths!.length]!);
  }
}

/** What deeper passes see of a row that left early; the bundle's. */
export type KvPolicy = 'last-exited' | 'propagate' | 'catch-up';

/**
 * Whether all passes must run on the home worker: `last-exited` copies K/V between depths of one worker, and `confidence` asks
 * the head, which is at home.
 */
export const mustStayHomed = (rule: ExitRule, kvPolicy: KvPolicy, bundleMaxDepth: number): boolean =>
  mayExitEarly(rule, bundleMaxDepth) && (kvPolicy === 'last-exited' || rule.policy === 'confidence');

/** True when the rule can let a row leave before pass `bundleMaxDepth`. */
export const mayExitEarly = (rule: ExitRule, bundleMaxDepth: number): boolean =>
  rule.maxDepth < bundleMaxDepth || (rule.policy !== 'none' && rule.minDepth < bundleMaxDepth);
