import assert from 'node:assert/strict';
import type { Bundle } from '@rondo/bundle';

/** The bundle as one that does not tell where its weights are: what they are of runs in the graph runtime. */
export function withoutKernel(bundle: Bundle, ...weights: ('layerWeights' | 'headWeights')[]): Bundle {
  for (const name of weights) assert.ok(bundle.manifest[name]);
  const untold = Object.fromEntries(weights.map((name) => [name, undefined]));
  return { ...bundle, manifest: { ...bundle.manifest, ...untold } };
}
