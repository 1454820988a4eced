import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LIMITS } from '@rondo/core';

/**
 * Frees typed arrays that died young before V8 counts them as a heap that grows. V8 looks at young objects when these have filled
 * their room, which a few arrays of a hundred KiB never do; by their bytes it collects the whole heap instead, on all processors.
 */
export class YoungBuffers {
  readonly #bytes: () => number;
  readonly #collect: () => void;
  /** The fewest bytes since young objects were last collected. */
  #least = Number.POSITIVE_INFINITY;

  /**
   * @param bytes what lies outside of V8's heap and is held from there
   * @param collect looks at young objects, for some tenths of a millisecond
   */
  constructor(bytes: () => number = bytesOutside, collect: () => void = youngCollection()) {
    this.#bytes = bytes;
    this.#collect = collect;
  }

  /** To be called often, where some tenths of a millisecond now and then disturb nobody; it takes a microsecond. */
  check(): void {
    const bytes = this.#bytes();
    this.#least = Math.min(this.#least, bytes);
    if (bytes - this.#least < LIMITS.youngBufferBytes) return;
    this.#collect();
    // What became free is counted off later, as it is swept.
    this.#least = bytes;
  }
}

const bytesOutside = (): number => getHeapStatistics().external_memory;

function youngCollection(): () => void {
  // V8 reads the flag whenever it makes a context.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  // What was written to a socket in this turn of the event loop leaves before.
  return () => void setImmediate(() => collect({ type: 'minor' }));
}
