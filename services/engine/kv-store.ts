import { kvBytesPerPosition, type Manifest } from '@rondo/bundle';
import type { KvCopy } from './engine.ts';

/**
 * The pages of one stack in one array of `floats`: [pages][layer, K|V][kvHead][slot][headDim]. Knows nothing of who owns
 * a page.
 */
export class KvStore {
  readonly data: Float32Array;
  readonly pageFloats: number;
  /** Floats of the K and V of one layer in a page. */
  readonly layerFloats: number;
  /** Floats of one head's keys or values in a page. */
  readonly rowFloats: number;
  readonly #headDim: number;

  constructor(data: Float32Array, shape: Manifest['shape'], layers: number, pagePositions: number) {
    this.data = data;
    this.pageFloats = pageFloatsOf(shape, layers, pagePositions);
    this.layerFloats = pageFloatsOf(shape, 1, pagePositions);
    this.rowFloats = pagePositions * shape.headDim;
    this.#headDim = shape.headDim;
  }

  /** Copies K and V of all layers at one slot. */
  copy({ fromPage, toPage, slot }: KvCopy): void {
    const end = (fromPage + 1) * this.pageFloats;
    const shift = (toPage - fromPage) * this.pageFloats;
    for (let at = fromPage * this.pageFloats + slot * this.#headDim; at < end; at += this.rowFloats) {
      this.data.copyWithin(at + shift, at, at + this.#headDim);
    }
  }
}

export const pageFloatsOf = (shape: Manifest['shape'], layers: number, pagePositions: number): number =>
  (kvBytesPerPosition(shape, layers) / 4) * pagePositions;
