import { type Bundle, kvBytesPerToken } from '@rondo/bundle';
import { median } from '../load/quantile.ts';
import { EngineLoop } from './engine-loop.ts';
import type { SuiteContext } from './suite.ts';

export const SEQUENCES = 16;
const PROMPT = 16;
const GENERATED = 16;
export const POSITIONS = PROMPT + GENERATED;
export const REPEATS = 3;

/** What a model's speed depends on: ways of one shape differ in the values of their weights alone. */
export const shapeOf = ({ manifest }: Bundle): readonly unknown[] => {
  const { layers, maxDepth, loop, precision, adapters, tied, files } = manifest;
  const weights = files.find(({ path }) => path === 'weights.bin')?.bytes;
  return [layers, maxDepth, loop.damping === 1, precision, adapters?.method, tied?.norms, weights];
};

/** Tokens a second of all sequences together, times those of the original, with which the bundle takes turns. */
export async function decodeSpeed(
  { seed, threads }: SuiteContext,
  bundle: Bundle,
  original: EngineLoop,
): Promise<number> {
  const { vocab } = bundle.manifest.shape;
  const prompts = Array.from({ length: SEQUENCES }, (_, sequence) =>
    Array.from({ length: PROMPT }, (_, at) => (at * 7 + sequence * 13 + seed) % vocab),
  );
  const loop = await openLoop(bundle, threads);
  try {
    const ratios: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const before = await original.decode(prompts, GENERATED);
      const { decodeMs } = await loop.decode(prompts, GENERATED);
      ratios.push(before.decodeMs / decodeMs);
    }
    return median(ratios);
  } finally {
    await loop.close();
  }
}

/** An engine with room for the sequences that `decodeSpeed` runs. */
export function openLoop(bundle: Bundle, threads: number): Promise<EngineLoop> {
  const kvBytes = SEQUENCES * POSITIONS * kvBytesPerToken(bundle.manifest);
  return EngineLoop.open(bundle, { threads, kvBytes });
}
