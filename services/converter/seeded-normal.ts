import { createHash } from 'node:crypto';

/** Draws from N(0, 1) that follow from the words of `seed` on every machine. */
export function seededNormal(seed: string): () => number {
  let word = createHash('sha256').update(seed).digest().readUInt32LE();
  // mulberry32 (Tommy Ettinger, 2017, public domain)
  const uniform = (): number => {
    word = (word + 0x6d2b79f5) | 0;
    let mixed = Math.imul(word ^ (word >>> 15), word | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  // Box & Muller 1958; 1 − u is never 0.
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
