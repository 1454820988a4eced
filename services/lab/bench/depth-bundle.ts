import type { BenchBundleOptions } from './bench-bundle.ts';

/**
 * SmolLM2 with 16 of its 30 layers applied twice, as damped sub-steps: the loop takes most of a token's time, so that
 * what an exit saves can be seen.
 */
export const LOOPED: BenchBundleOptions = {
  precision: 'int4',
  loopLayers: { first: 4, last: 19 },
  loops: 2,
  damping: 0.5,
};
