import { kvBytesPerPosition, type Manifest } from '@rondo/bundle';
import type { KvCopy } from './engine.ts';

export interface KvLayout {
  readonly layers: number;
  /** Floats from one page to the next, and from one layer to the next. */
  readonly pageStride: number;
  readonly layerStride: number;
}

/**
 * The pages of one stack: for each (page, layer), wherever the layout puts them, [K|V][kvHead][slot][headDim]. Knows
 * nothing of who owns a page.
 */
export class KvStore {
  readonly data: Float32Array;
  readonly layout: KvLayout;
  /** Floats of the K and V of one layer in a page. */
  readonly layerFloats: number;
  /** Floats of one head's keys or values in a page. */
  readonly rowFloats: number;
  readonly #headDim: number;

  constructor(data: Float32Array, shape: Manifest['shape'], pagePositions: number, layout: KvLayout) {
    this.data = data;
    this.layout = layout;
    this.layerFloats = layerFloatsOf(shape, pagePositions);
    this.rowFloats = pagePositions * shape.headDim;
    this.#headDim = shape.headDim;
  }

  /** Copies K and V of all layers at neighbouring slots. */
  copy({ fromPage, toPage, slot, slots }: KvCopy): void {
    const { layers, pageStride, layerStride } = this.layout;
    const shift = (toPage - fromPage) * pageStride;
    for (let layer = 0; layer < layers; layer++) {
      const start = fromPage * pageStride + layer * layerStride;
      for (let at = start + slot * this.#headDim; at < start + this.layerFloats; at += this.rowFloats) {
        this.data.copyWithin(at + shift, at, at + slots * this.#headDim);
      }
    }
  }

  /** Overwrites a page with `value`. */
  fill(page: number, value: number): void {
    const { layers, pageStride, layerStride } = this.layout;
    for (let layer = 0; layer < layers; layer++) {
      const start = page * pageStride + layer * layerStride;
      this.data.fill(value, start, start + this.layerFloats);
    }
  }
}

/** Floats of one layer's K and V in a page. */
export const layerFloatsOf = (shape: Manifest['shape'], pagePositions: number): number =>
  (kvBytesPerPosition(shape, 1) / 4) * pagePositions;

/** All layers of a page side by side: what graphs that gather whole pages ask for. */
export function pageMajor(shape: Manifest['shape'], layers: number, pagePositions: number): KvLayout {
  const layerStride = layerFloatsOf(shape, pagePositions);
  return { layers, layerStride, pageStride: layers * layerStride };
}

/** All pages of a layer side by side: a sequence's pages are neighbours, and one layer is read at a time. Strides count 4 bytes. */
export function layerMajor(
  shape: Manifest['shape'],
  layers: number,
  pagePositions: number,
  pages: number,
  numberBytes = 4,
): KvLayout {
  const pageStride = (layerFloatsOf(shape, pagePositions) * numberBytes) / 4;
  return { layers, pageStride, layerStride: pages * pageStride };
}
