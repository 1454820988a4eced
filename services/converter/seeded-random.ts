/** Numbers that depend on the seed alone, the same on every machine. (Steele, Lea & Flood 2014, as 32-bit `mulberry32`) */
export class SeededRandom {
  #word: number;

  constructor(seed: number) {
    this.#word = seed >>> 0;
  }

  /** 32 bits. */
  word(): number {
    this.#word = (this.#word + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#word ^ (this.#word >>> 15), this.#word | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** In (0, 1). */
  uniform(): number {
    return (this.word() + 0.5) / 2 ** 32;
  }

  /** With mean 0 and variance 1. (Box & Muller 1958) */
  normal(): number {
    return Math.sqrt(-2 * Math.log(this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}
