import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { Tensor } from 'onnxruntime-node';
import { type DepthFeed, depthFeeds } from './depth-feeds.ts';
import { DeviceKv } from './device-kv.ts';
import { type DeviceStates, dispose } from './device-states.ts';
import type { StackBatch, StackResult } from './engine.ts';
import type { GraphKv } from './graph-kv.ts';
import { type GraphStates, type LeftStates, pad, rowsIn, unpad } from './graph-states.ts';
import { HostKv } from './host-kv.ts';
import { HostStates } from './host-states.ts';
import { Int64Feed } from './int64-feed.ts';
import { fillRotaryTable } from './rotary-table.ts';
import { type OutputLocations, openSession, type Session, type SessionOptions } from './session.ts';

/**
 * A stack as one graph that gathers pages itself: for providers whose memory our attention cannot reach, for head sizes
 * it does not fit, and as the other way to compute the same. Chunks are padded to one length here.
 */
export class GraphStack {
  readonly #session: Session;
  /** Absent for a stack without layers: then it is only a map from rows to rows. */
  readonly #kv: GraphKv | undefined;
  readonly #states: GraphStates;
  readonly #bundle: Bundle;
  readonly #feeds = {
    ids: new Int64Feed(),
    pastLengths: new Int64Feed(),
    pageTable: new Int64Feed(),
  };
  readonly #depths: readonly DepthFeed[];

  private constructor(bundle: Bundle, session: Session, kv: GraphKv | undefined, states: GraphStates) {
    this.#bundle = bundle;
    this.#session = session;
    this.#kv = kv;
    this.#states = states;
    this.#depths = depthFeeds(bundle.manifest.maxDepth, new Set(session.inputNames));
  }

  /** `device`: where states stay, and then K and V do too. */
  static open(
    bundle: Bundle,
    file: string,
    layers: number,
    pages: number,
    options: SessionOptions,
    device: DeviceStates | undefined,
  ): GraphStack {
    const stay: OutputLocations = {
      state_out: 'gpu-buffer',
      ...(layers > 0 && ({ new_kv: 'gpu-buffer' } as const)),
    };
    const session = openSession(bundle, file, options, device && stay);
    const states = device ?? new HostStates(bundle.manifest.shape.hidden);
    if (layers === 0) return new GraphStack(bundle, session, undefined, states);
    if (!session.inputNames.includes('cos')) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${bundle.directory}: its graphs are of an older version, which runs only on the CPU with attention 'pages'; convert the checkpoint again`,
      );
    }
    const kv = device
      ? DeviceKv.open(bundle, layers, pages, options)
      : new HostKv(bundle.manifest, layers, pages);
    return new GraphStack(bundle, session, kv, states);
  }

  /** With the states of the rows that go on to the head, where those are not among what comes back. */
  run(given: StackBatch): StackResult & Pick<LeftStates, 'forHead'> {
    // Without attention rows need no padding.
    const batch = this.#kv ? given : asOneChunk(given);
    this.#kv?.copy(batch.copies);
    const padded = Math.max(...batch.rowCounts);
    const begin = performance.now();
    const inputs = this.#inputs(batch, padded);
    const out = this.#session.run(inputs);
    if (inputs.state) dispose(inputs.state);
    const runMs = performance.now() - begin;
    this.#kv?.keep(batch, out.new_kv!, padded);
    const signal = (name: string): Float32Array | undefined =>
      out[name] && unpad(batch, out[name].data as Float32Array, 1, padded);
    const [gate, latentDiff] = [signal('gate'), signal('latent_diff')];
    return {
      ...this.#states.leave(batch, padded, out.state_out!),
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
    const chunks = batch.starts.length;
    const feeds: Record<string, Tensor> = {};
    if (batch.stack === 'prelude') {
      const ids = pad(batch, new Int32Array(chunks * padded), 1, padded);
      feeds.token_ids = this.#feeds.ids.tensor(ids, [chunks, padded]);
    } else {
      feeds.state = this.#states.enter(batch, padded);
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
    const rowsByDepth = { depths: batch.depths, rowCounts: new Int32Array(chunks).fill(padded) };
    for (const { name, tensor } of this.#depths) feeds[name] = tensor(rowsByDepth, chunks * padded);
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

const asOneChunk = (batch: StackBatch): StackBatch => ({
  ...batch,
  starts: new Int32Array(1),
  rowCounts: Int32Array.of(rowsIn(batch)),
});
