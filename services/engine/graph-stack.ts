import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { Tensor } from 'onnxruntime-node';
import { DeviceKv } from './device-kv.ts';
import type { StackBatch, StackResult } from './engine.ts';
import type { GraphKv } from './graph-kv.ts';
import { HostKv } from './host-kv.ts';
import { Int64Feed } from './int64-feed.ts';
import { fillRotaryTable } from './rotary-table.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';

/**
 * A stack as one graph that gathers pages itself: for providers whose memory our attention cannot reach, for head sizes
 * it does not fit, and as the other way to compute the same. Chunks are padded to one length here.
 */
export class GraphStack {
  readonly #session: Session;
  /** Absent for a stack without layers: then it is only a map from rows to rows. */
  readonly #kv: GraphKv | undefined;
  readonly #bundle: Bundle;
  readonly #feeds = {
    ids: new Int64Feed(),
    pastLengths: new Int64Feed(),
    pageTable: new Int64Feed(),
  };

  private constructor(bundle: Bundle, session: Session, kv: GraphKv | undefined) {
    this.#bundle = bundle;
    this.#session = session;
    this.#kv = kv;
  }

  static open(
    bundle: Bundle,
    file: string,
    layers: number,
    pages: number,
    options: SessionOptions,
  ): GraphStack {
    const onDevice = options.provider === 'webgpu';
    if (layers === 0) return new GraphStack(bundle, openSession(bundle, file, options), undefined);
    const session = openSession(bundle, file, options, onDevice ? { new_kv: 'gpu-buffer' } : undefined);
    if (!session.inputNames.includes('cos')) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${bundle.directory}: its graphs are of an older version, which runs only on the CPU with attention 'pages'; convert the checkpoint again`,
      );
    }
    const kv = onDevice
      ? DeviceKv.open(bundle, layers, pages, options)
      : new HostKv(bundle.manifest, layers, pages);
    return new GraphStack(bundle, session, kv);
  }

  run(batch: StackBatch): StackResult {
    this.#kv?.copy(batch.copies);
    const chunks = batch.starts.length;
    const padded = Math.max(...batch.rowCounts);
    const begin = performance.now();
    const out = this.#session.run(this.#inputs(batch, padded));
    const runMs = performance.now() - begin;
    this.#kv?.keep(batch, out.new_kv!, padded);
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
    this.#kv?.release();
  }

  #inputs(batch: StackBatch, padded: number): Record<string, Tensor> {
    const { hidden } = this.#bundle.manifest.shape;
    const chunks = batch.starts.length;
    const feeds: Record<string, Tensor> = {};
    if (!this.#kv && batch.stack === 'prelude') {
      return { token_ids: this.#feeds.ids.tensor(batch.input as Int32Array, [1, batch.input.length]) };
    }
    if (batch.stack === 'prelude') {
      const ids = pad(batch, new Int32Array(chunks * padded), 1, padded);
      feeds.token_ids = this.#feeds.ids.tensor(ids, [chunks, padded]);
    } else {
      const states = pad(batch, new Float32Array(chunks * padded * hidden), hidden, padded);
      feeds.state = new Tensor('float32', states, [chunks * padded, hidden]);
    }
    const kv = this.#kv;
    if (!kv) return feeds;
    const rotary = this.#rotary(batch.starts, padded);
    feeds.cos = rotary.cos;
    feeds.sin = rotary.sin;
    feeds.past_lengths = this.#feeds.pastLengths.tensor(batch.starts, [chunks]);
    feeds.page_table = this.#feeds.pageTable.tensor(batch.pageTable, [
      chunks,
      batch.pageTable.length / chunks,
    ]);
    feeds.kv_pool = kv.pool;
    return feeds;
  }

  /** Cosine and sine [N, headDim / 2] of every row's position. */
  #rotary(starts: Int32Array, padded: number): { cos: Tensor; sin: Tensor } {
    const { inverseFrequencies, attentionFactor } = this.#bundle.manifest.rope;
    const dims = [starts.length * padded, inverseFrequencies.length];
    const cos = new Float32Array(dims[0]! * dims[1]!);
    const sin = new Float32Array(cos.length);
    starts.forEach((start, chunk) => {
      const [from, to] = [chunk * padded * dims[1]!, (chunk + 1) * padded * dims[1]!];
      const [cosines, sines] = [cos.subarray(from, to), sin.subarray(from, to)];
      fillRotaryTable(cosines, sines, inverseFrequencies, attentionFactor, start);
    });
    return { cos: new Tensor('float32', cos, dims), sin: new Tensor('float32', sin, dims) };
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
