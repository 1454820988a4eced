import { RondoError } from '@rondo/core';
import { WASM_PAGE_BYTES } from './module.ts';

const MEMORY_PAGES_MAX = 65_536;
/** Areas start on cache lines. */
const ALIGNMENT_BYTES = 64;

/** Lays areas out one behind the other in a shared memory. */
export class MemoryPlan {
  #bytes = 0;

  get pages(): number {
    return Math.ceil(this.#bytes / WASM_PAGE_BYTES);
  }

  /** What `lay` lays out; undefined, and nothing laid out, where that would be more than the memory can have. */
  ifFits<Laid>(lay: () => Laid): Laid | undefined {
    const before = this.#bytes;
    const laid = lay();
    if (this.pages <= MEMORY_PAGES_MAX) return laid;
    this.#bytes = before;
    return undefined;
  }

  /** Byte address of a new area of `count` 32-bit values. */
  floats(count: number): number {
    const start = this.#bytes;
    this.#bytes += Math.ceil((count * 4) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return start;
  }

  /** The memory, all zero; the machine gives it bytes as they are touched. */
  allocate(): WebAssembly.Memory {
    const size = `${Math.ceil(this.#bytes / 2 ** 20)} MiB`;
    if (this.pages > MEMORY_PAGES_MAX) {
      throw new RondoError(
        'CONFIG_INVALID',
        `KV memory: pages and tables need ${size}, one engine has at most 4096 MiB; give a smaller --kv-mb, or start more workers`,
      );
    }
    try {
      return new WebAssembly.Memory({ initial: this.pages, maximum: this.pages, shared: true });
    } catch (cause) {
      throw new RondoError(
        'CONFIG_INVALID',
        `KV memory: ${size} in one piece cannot be had; give a smaller --kv-mb`,
        { cause },
      );
    }
  }
}
