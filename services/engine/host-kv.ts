import type { Manifest } from '@rondo/bundle';
import { Tensor } from 'onnxruntime-node';
import type { KvCopy, StackBatch } from './engine.ts';
import { eachNewRow, type GraphKv } from './graph-kv.ts';
import { KvStore, pageMajor } from './kv-store.ts';

/** Pages in this process' memory. */
export class HostKv implements GraphKv {
  readonly pool: Tensor;
  readonly #store: KvStore;
  readonly #shape: Pick<Manifest, 'pagePositions'> & Manifest['shape'];

  constructor({ shape, pagePositions }: Manifest, layers: number, pages: number) {
    const layout = pageMajor(shape, layers, pagePositions);
    const data = new Float32Array(pages * layout.pageStride);
    this.#store = new KvStore(data, shape, pagePositions, layout);
    this.#shape = { ...shape, pagePositions };
    const { rowFloats } = this.#store;
    this.pool = new Tensor('float32', data, [data.length / rowFloats, rowFloats]);
  }

  copy(copies: readonly KvCopy[]): void {
    for (const copy of copies) this.#store.copy(copy);
  }

  keep(batch: StackBatch, rows: Tensor, padded: number): void {
    const { data, layout } = this.#store;
    const { headDim } = this.#shape;
    const values = rows.data as Float32Array;
    eachNewRow(batch, { ...this.#shape, slices: layout.layers * 2, padded }, (row, slot) => {
      data.set(values.subarray(row * headDim, (row + 1) * headDim), slot * headDim);
    });
  }

  release(): void {}
}
