/**
 * Uniform numbers in [0, 1) that follow from a seed: mulberry32 (Tommy Ettinger, 2017, public domain). For choosing
 * workloads, where a run must be repeatable and nothing depends on the quality of bits.
 */
export class RandomStream {
  #state: number;

  /** `seed`: unsigned 32-bit. Neighbouring seeds give unrelated streams. */
  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from `first` to `last`, both included. */
  whole(first: number, last: number): number {
    return first + Math.floor(this.next() * (last - first + 1));
  }

  /** Time to the next arrival of a Poisson process of `rate` arrivals per unit of time. */
  exponential(rate: number): number {
    return -Math.log(1 - this.next()) / rate;
  }
}
