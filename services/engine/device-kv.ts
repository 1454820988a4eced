import type { Bundle } from '@rondo/bundle';
import { Tensor } from 'onnxruntime-node';
import type { KvCopy, StackBatch } from './engine.ts';
import { eachNewRow, type GraphKv } from './graph-kv.ts';
import { Int64Feed } from './int64-feed.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';

/**
 * Pages in the memory of the device, which they never leave: the graphs `kvStore` and `kvCopy` make each next pool of the
 * last one. The runtime's binding writes no output over an input, so that both exist for a moment and a step reads and writes
 * the pool once more than it must. (ADR 34)
 */
export class DeviceKv implements GraphKv {
  #slots: Tensor;
  readonly #store: Session;
  readonly #copy: Session;
  readonly #rows: { readonly slices: number; readonly kvHeads: number; readonly pagePositions: number };
  readonly #headDim: number;
  readonly #feeds = { slots: new Int64Feed(), from: new Int64Feed() };

  private constructor(
    bundle: Bundle,
    sessions: { store: Session; copy: Session },
    layers: number,
    pages: number,
  ) {
    const { shape, pagePositions } = bundle.manifest;
    this.#rows = { slices: layers * 2, kvHeads: shape.kvHeads, pagePositions };
    this.#headDim = shape.headDim;
    this.#store = sessions.store;
    this.#copy = sessions.copy;
    const count = pages * layers * 2 * shape.kvHeads * pagePositions;
    this.#slots = new Tensor('float32', new Float32Array(count * shape.headDim), [count, shape.headDim]);
    // What the null page gets is zero as it was; the pool is on the device from here on.
    this.#put(new Tensor('float32', new Float32Array(shape.headDim), [1, shape.headDim]), Int32Array.of(0));
  }

  static open(bundle: Bundle, layers: number, pages: number, options: SessionOptions): DeviceKv {
    const { kvStore, kvCopy } = bundle.manifest.graphs;
    const open = (file: string) => openSession(bundle, file, options, { pool_out: 'gpu-buffer' });
    return new DeviceKv(bundle, { store: open(kvStore!), copy: open(kvCopy!) }, layers, pages);
  }

  get pool(): Tensor {
    const rowFloats = this.#rows.pagePositions * this.#headDim;
    return onDevice(this.#slots, [(this.#slots.dims[0]! * this.#headDim) / rowFloats, rowFloats]);
  }

  copy(copies: readonly KvCopy[]): void {
    let [from, to]: [number[], number[]] = [[], []];
    const written = new Set<number>();
    const flush = () => {
      if (from.length > 0) this.#move(Int32Array.from(from), Int32Array.from(to));
      [from, to] = [[], []];
      written.clear();
    };
    for (const { fromPage, toPage, slot, slots } of copies) {
      // One that reads what another writes comes after it.
      if (written.has(fromPage)) flush();
      written.add(toPage);
      const { slices, kvHeads, pagePositions } = this.#rows;
      for (let head = 0; head < slices * kvHeads; head++) {
        for (let at = slot; at < slot + slots; at++) {
          from.push((fromPage * slices * kvHeads + head) * pagePositions + at);
          to.push((toPage * slices * kvHeads + head) * pagePositions + at);
        }
      }
    }
    flush();
  }

  keep(batch: StackBatch, rows: Tensor, padded: number): void {
    const count = rows.size / this.#headDim;
    // Rows that only pad a chunk go to the null page, whose content nobody sees.
    const slots = new Int32Array(count);
    eachNewRow(batch, { ...this.#rows, padded }, (row, slot) => {
      slots[row] = slot;
    });
    this.#put(onDevice(rows, [count, this.#headDim]), slots);
    rows.dispose();
  }

  release(): void {
    this.#slots.dispose();
    this.#store.release();
    this.#copy.release();
  }

  #put(rows: Tensor, slots: Int32Array): void {
    const to = this.#feeds.slots.tensor(slots, [slots.length, 1]);
    this.#replace(this.#store.run({ pool: this.#slots, rows, slots: to }).pool_out!);
  }

  #move(from: Int32Array, to: Int32Array): void {
    const feeds = {
      pool: this.#slots,
      from: this.#feeds.from.tensor(from, [from.length]),
      slots: this.#feeds.slots.tensor(to, [to.length, 1]),
    };
    this.#replace(this.#copy.run(feeds).pool_out!);
  }

  #replace(next: Tensor): void {
    if (this.#slots.location === 'gpu-buffer') this.#slots.dispose();
    this.#slots = next;
  }
}

/** The same values under other dims; the buffer stays that of the tensor given. */
const onDevice = (tensor: Tensor, dims: readonly number[]): Tensor =>
  Tensor.fromGpuBuffer(tensor.gpuBuffer, { dataType: 'float32', dims: [...dims] });
