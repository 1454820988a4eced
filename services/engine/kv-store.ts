import { kvBytesPerPosition, type Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { KvCopy } from './engine.ts';

/** Where K/V rows of a run come from: [slices, B, kvHeads, T, headDim], slices = layers · 2. */
export interface NewKv {
  readonly data: Float32Array;
  readonly chunks: number;
  readonly rowsPadded: number;
}

/**
 * The pages of one stack in one array: [pages][layer, K|V][kvHead][slot][headDim]. Graphs read it as their `kv_pool`
 * input without a copy; only this class writes it. Knows nothing of who owns a page.
 */
export class KvStore {
  readonly data: Float32Array;
  readonly #shape: Manifest['shape'];
  readonly #slices: number;
  readonly #positions: number;
  readonly #pageFloats: number;

  constructor(shape: Manifest['shape'], layers: number, pagePositions: number, pages: number) {
    this.#shape = shape;
    this.#slices = layers * 2;
    this.#positions = pagePositions;
    this.#pageFloats = (kvBytesPerPosition(shape, layers) / 4) * pagePositions;
    this.data = allocate(pages * this.#pageFloats);
  }

  /** Rows of the graph's view: one per (page, layer, K|V, head). */
  get rows(): number {
    return this.data.length / this.rowFloats;
  }

  get rowFloats(): number {
    return this.#positions * this.#shape.headDim;
  }

  clear(pages: Int32Array): void {
    for (const page of pages) this.data.fill(0, page * this.#pageFloats, (page + 1) * this.#pageFloats);
  }

  copy({ fromPage, toPage, slot }: KvCopy): void {
    const { headDim, kvHeads } = this.#shape;
    for (let head = 0; head < this.#slices * kvHeads; head++) {
      const at = head * this.rowFloats + slot * headDim;
      const from = fromPage * this.#pageFloats + at;
      this.data.copyWithin(toPage * this.#pageFloats + at, from, from + headDim);
    }
  }

  /** Writes row `row` of chunk `chunk` to `slot` of `page`. */
  write(kv: NewKv, chunk: number, row: number, page: number, slot: number): void {
    const { headDim, kvHeads } = this.#shape;
    for (let slice = 0; slice < this.#slices; slice++) {
      for (let head = 0; head < kvHeads; head++) {
        const source = (((slice * kv.chunks + chunk) * kvHeads + head) * kv.rowsPadded + row) * headDim;
        const target = page * this.#pageFloats + (slice * kvHeads + head) * this.rowFloats + slot * headDim;
        this.data.set(kv.data.subarray(source, source + headDim), target);
      }
    }
  }
}

function allocate(floats: number): Float32Array {
  try {
    return new Float32Array(floats);
  } catch (cause) {
    throw new RondoError(
      'CONFIG_INVALID',
      `KV memory: ${Math.ceil((floats * 4) / 2 ** 20)} MiB in one piece cannot be had; give a smaller --kv-mb`,
      { cause },
    );
  }
}
