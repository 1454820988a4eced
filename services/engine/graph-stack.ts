import { type Bundle, kvBytesPerPosition } from '@rondo/bundle';
import { Tensor } from 'onnxruntime-node';
import type { StackBatch, StackResult } from './engine.ts';
import { Int64Feed } from './int64-feed.ts';
import { KvStore, pageMajor } from './kv-store.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';

/**
 * A stack as one graph that gathers pages itself: for providers whose memory our attention cannot reach, for head sizes
 * it does not fit, and as the other way to compute the same. Chunks are padded to one length here.
 */
export class GraphStack {
  readonly #session: Session;
  /** Absent for a stack without layers: then it is only a map from rows to rows. */
  readonly #store: KvStore | undefined;
  readonly #bundle: Bundle;
  readonly #feeds = {
    ids: new Int64Feed(),
    positions: new Int64Feed(),
    pastLengths: new Int64Feed(),
    pageTable: new Int64Feed(),
  };

  private constructor(bundle: Bundle, session: Session, store: KvStore | undefined) {
    this.#bundle = bundle;
    this.#session = session;
    this.#store = store;
  }

  static open(
    bundle: Bundle,
    file: string,
    layers: number,
    pages: number,
    options: SessionOptions,
  ): GraphStack {
    const { shape, pagePositions } = bundle.manifest;
    const floats = (pages * pagePositions * kvBytesPerPosition(shape, layers)) / 4;
    const layout = pageMajor(shape, layers, pagePositions);
    const store =
      layers > 0 ? new KvStore(new Float32Array(floats), shape, pagePositions, layout) : undefined;
    return new GraphStack(bundle, openSession(bundle, file, options), store);
  }

  run(batch: StackBatch): StackResult {
    for (const copy of batch.copies) this.#store?.copy(copy);
    const chunks = batch.starts.length;
    const padded = Math.max(...batch.rowCounts);
    const begin = performance.now();
    const out = this.#session.run(this.#inputs(batch, padded));
    const runMs = performance.now() - begin;
    if (this.#store) this.#keep(this.#store, batch, out.new_kv!.data as Float32Array, padded);
    const unpadded = (name: string, width: number): Float32Array | undefined => {
      const data = out[name]?.data as Float32Array | undefined;
      if (!data || data.length === batch.rowCounts.reduce((sum, count) => sum + count, 0) * width)
        return data;
      const parts = Array.from({ length: chunks }, (_, chunk) =>
        data.subarray(chunk * padded * width, (chunk * padded + batch.rowCounts[chunk]!) * width),
      );
      return Float32Array.from(parts.flatMap((part) => [...part]));
    };
    const { hidden } = this.#bundle.manifest.shape;
    const [gate, latentDiff] = [unpadded('gate', 1), unpadded('latent_diff', 1)];
    return {
      state: unpadded('state_out', hidden)!,
      ...(gate && { gate }),
      ...(latentDiff && { latentDiff }),
      runMs,
    };
  }

  release(): void {
    this.#session.release();
  }

  #inputs(batch: StackBatch, padded: number): Record<string, Tensor> {
    const { hidden } = this.#bundle.manifest.shape;
    const chunks = batch.starts.length;
    const feeds: Record<string, Tensor> = {};
    if (!this.#store && batch.stack === 'prelude') {
      return { token_ids: this.#feeds.ids.tensor(batch.input as Int32Array, [1, batch.input.length]) };
    }
    if (batch.stack === 'prelude') {
      const ids = pad(batch, new Int32Array(chunks * padded), 1, padded);
      feeds.token_ids = this.#feeds.ids.tensor(ids, [chunks, padded]);
    } else {
      const states = pad(batch, new Float32Array(chunks * padded * hidden), hidden, padded);
      feeds.state = new Tensor('float32', states, [chunks * padded, hidden]);
    }
    const store = this.#store;
    if (!store) return feeds;
    const positions = new Int32Array(chunks * padded);
    for (let row = 0; row < positions.length; row++) {
      positions[row] = batch.starts[Math.floor(row / padded)]! + (row % padded);
    }
    feeds.positions = this.#feeds.positions.tensor(positions, [chunks, padded]);
    feeds.past_lengths = this.#feeds.pastLengths.tensor(batch.starts, [chunks]);
    feeds.page_table = this.#feeds.pageTable.tensor(batch.pageTable, [
      chunks,
      batch.pageTable.length / chunks,
    ]);
    feeds.kv_pool = new Tensor('float32', store.data, [store.data.length / store.rowFloats, store.rowFloats]);
    return feeds;
  }

  /** Writes the run's rows [slices, B, kvHeads, T, headDim], slices = layers · 2, to their pages. */
  #keep(store: KvStore, batch: StackBatch, rows: Float32Array, padded: number): void {
    const { pagePositions, shape } = this.#bundle.manifest;
    const { headDim, kvHeads } = shape;
    const chunks = batch.starts.length;
    const pages = batch.pageTable.length / chunks;
    const heads = rows.length / (chunks * padded * headDim);
    for (let chunk = 0; chunk < chunks; chunk++) {
      for (let row = 0; row < batch.rowCounts[chunk]!; row++) {
        const position = batch.starts[chunk]! + row;
        const page = batch.pageTable[chunk * pages + Math.floor(position / pagePositions)]!;
        const slot = page * store.layout.pageStride + (position % pagePositions) * headDim;
        for (let head = 0; head < heads; head++) {
          const [slice, kvHead] = [Math.floor(head / kvHeads), head % kvHeads];
          const from = (((slice * chunks + chunk) * kvHeads + kvHead) * padded + row) * headDim;
          store.data.set(rows.subarray(from, from + headDim), slot + head * store.rowFloats);
        }
      }
    }
  }
}

/** Spreads flat rows of `width` values to `padded` rows a chunk. */
function pad<Values extends Int32Array | Float32Array>(
  { input, rowCounts }: StackBatch,
  target: Values,
  width: number,
  padded: number,
): Values {
  let from = 0;
  rowCounts.forEach((rows, chunk) => {
    target.set(input.subarray(from, from + rows * width), chunk * padded * width);
    from += rows * width;
  });
  return target;
}
