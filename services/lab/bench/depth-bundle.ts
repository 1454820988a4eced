import type { BenchBundleOptions } from './bench-bundle.ts';

/**
 * SmolLM2 with all but its first and last layer applied twice, as damped sub-steps: nearly all of a token's time is in
 * the loop, as in the models that Bae et al. 2024 simulated.
 */
export const LOOPED: BenchBundleOptions = {
  precision: 'int4',
  loopLayers: { first: 1, last: 28 },
  loops: 2,
  damping: 0.5,
};
