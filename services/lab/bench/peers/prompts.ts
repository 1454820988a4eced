/** Ids below are special tokens, which some engines treat apart. */
const FIRST_PLAIN_ID = 256;

/** `count` prompts of `length` random ids of a vocabulary; equal for equal arguments. */
export function randomPrompts(seed: number, count: number, length: number, vocab: number): number[][] {
  const random = mulberry32(seed);
  const id = () => FIRST_PLAIN_ID + Math.floor(random() * (vocab - FIRST_PLAIN_ID));
  return Array.from({ length: count }, () => Array.from({ length }, id));
}

/** Uniform numbers in [0, 1) (Tommy Ettinger's mulberry32, public domain). */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
