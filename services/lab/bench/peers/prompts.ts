import { RandomStream } from '../../load/random-stream.ts';

/** Ids below are special tokens, which some engines treat apart. */
const FIRST_PLAIN_ID = 256;

/** `count` prompts of `length` random ids of a vocabulary; equal for equal arguments. */
export function randomPrompts(seed: number, count: number, length: number, vocab: number): number[][] {
  const random = new RandomStream(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length }, () => random.whole(FIRST_PLAIN_ID, vocab - 1)),
  );
}
