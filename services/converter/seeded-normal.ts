import { createHash } from 'node:crypto';
import { SeededRandom } from './seeded-random.ts';

/** Draws from N(0, 1) that follow from the words of `seed` on every machine. */
export function seededNormal(seed: string): () => number {
  const random = new SeededRandom(createHash('sha256').update(seed).digest().readUInt32LE());
  const uniform = (): number => random.word() / 2 ** 32;
  // Box & Muller 1958; 1 − u is never 0.
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
