import type { Bundle } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import { Tensor } from 'onnxruntime-node';
import { type DepthFeed, depthFeeds, type RowsByDepth } from './depth-feeds.ts';
import { depthGroups } from './depth-groups.ts';
import type { StackBatch, StackResult } from './engine.ts';
import type { HostKernel } from './host-kernel.ts';
import { Int64Feed } from './int64-feed.ts';
import { pickRows, spreadRows } from './pick-rows.ts';
import { discard, openSession, type Session, type SessionOptions, type Tensors } from './session.ts';

/** A stack run segment by segment in the graph runtime, with attention over pages between them. */
export class SegmentStack {
  readonly #hidden: number;
  readonly #damping: number;
  readonly #segments: readonly Session[];
  readonly #attention: HostKernel;
  /** What attention hands to the next segment, for the longest run. */
  readonly #attended: Float32Array;
  readonly #attendedFloats: number;
  readonly #tokenIds = new Int64Feed();
  readonly #depths: readonly DepthFeed[];

  private constructor(bundle: Bundle, segments: readonly Session[], attention: HostKernel) {
    const { shape, maxDepth, loop } = bundle.manifest;
    this.#hidden = shape.hidden;
    this.#damping = Math.fround(loop.damping);
    this.#segments = segments;
    this.#attention = attention;
    this.#attendedFloats = shape.heads * shape.headDim;
    this.#attended = new Float32Array(LIMITS.stepRowsMax * this.#attendedFloats);
    this.#depths = depthFeeds(maxDepth, new Set(segments.flatMap(({ inputNames }) => inputNames)));
  }

  static open(
    bundle: Bundle,
    files: readonly string[],
    attention: HostKernel,
    options: SessionOptions,
  ): SegmentStack {
    const segments = files.map((file) => openSession(bundle, file, options));
    return new SegmentStack(bundle, segments, attention);
  }

  run(batch: StackBatch): StackResult {
    const attention = this.#attention;
    attention.copy(batch.stack, batch.copies);
    const begin = performance.now();
    attention.begin(batch);
    const entry = this.#entry(batch);
    const rows = entry.rows;
    const attended = this.#attended.subarray(0, rows * this.#attendedFloats);
    const attendedTensor = new Tensor('float32', attended, [rows, this.#attendedFloats]);
    const depths = this.#depthTensors(batch, rows);
    const depthsOf = (segment: number): Tensors => this.#inputsOf(segment, depths);
    const last = this.#segments.length - 1;
    const feedsOf = (segment: number, residual: Tensor): Tensors => ({
      attended: attendedTensor,
      residual,
      ...depthsOf(segment),
      ...(segment === last && batch.stack === 'block' ? entry.feeds : {}),
    });
    const wanted = batch.wanted && batch.wanted.length < rows ? batch.wanted : undefined;
    const inKernel = attention.takesLayers(batch.stack);
    const entersKernel = inKernel && attention.entersLayers(batch.stack);
    let out: Tensors = entersKernel ? {} : this.#segments[0]!.run({ ...entry.feeds, ...depthsOf(0) });
    // Before the first addition the residual stream is the state that came in.
    const entering = () => (out.residual_out ?? entry.feeds.state)!;
    if (inKernel) {
      const stream = Float32Array.from(entering().data as Float32Array);
      attention.throughLayers(
        batch.stack,
        out.qkv?.data as Float32Array | undefined,
        stream,
        attended,
        depthGroups(batch),
      );
      if (attention.leavesLayers(batch.stack)) {
        const ended = batch.stack === 'block' ? this.#endPass(batch.input as Float32Array, stream) : {};
        return { state: stream, ...ended, runMs: performance.now() - begin };
      }
      out = this.#segments[last]!.run(feedsOf(last, new Tensor('float32', stream, [rows, this.#hidden])));
    } else {
      for (let layer = 0; layer < last; layer++) {
        const narrowed = layer === last - 1 ? wanted : undefined;
        if (narrowed) attention.narrow(narrowed);
        attention.run(layer, out.qkv!.data as Float32Array, attended);
        discard(out.qkv);
        const { residual_out: consumed } = out;
        if (narrowed) {
          const ended = this.#endOf(batch, narrowed, attended, entering().data as Float32Array);
          discard(consumed);
          return { ...ended, runMs: performance.now() - begin };
        }
        out = this.#segments[layer + 1]!.run(feedsOf(layer + 1, entering()));
        discard(consumed);
      }
    }
    return { ...resultOf(out), runMs: performance.now() - begin };
  }

  /** What lies behind the last attention, for `wanted` rows of the batch alone: nothing before it depends on the others' state any more. */
  #endOf(
    batch: StackBatch,
    wanted: readonly number[],
    attended: Float32Array,
    residual: Float32Array,
  ): Omit<StackResult, 'runMs'> {
    const hidden = this.#hidden;
    const rows = residual.length / hidden;
    if (wanted.length === 0) return { state: new Float32Array(residual.length).fill(Number.NaN) };
    const picked = (values: Float32Array, width: number): Tensor =>
      new Tensor('float32', pickRows(values, wanted, width), [wanted.length, width]);
    const last = this.#segments.length - 1;
    const counts = countsOf(batch.rowCounts, wanted);
    const out = this.#segments[last]!.run({
      attended: picked(attended, this.#attendedFloats),
      residual: picked(residual, hidden),
      ...this.#inputsOf(last, this.#depthTensors({ depths: batch.depths, rowCounts: counts }, wanted.length)),
      ...(batch.stack === 'block' && { state: picked(batch.input as Float32Array, hidden) }),
    });
    const { state, gate, latentDiff } = resultOf(out);
    return {
      state: spreadRows(state, wanted, rows, hidden),
      ...(gate && { gate: spreadRows(gate, wanted, rows, 1) }),
      ...(latentDiff && { latentDiff: spreadRows(latentDiff, wanted, rows, 1) }),
    };
  }

  #depthTensors(rowsByDepth: RowsByDepth, rows: number): Tensors {
    return Object.fromEntries(this.#depths.map(({ name, tensor }) => [name, tensor(rowsByDepth, rows)]));
  }

  /** Those of `tensors` that the segment knows. */
  #inputsOf(segment: number, tensors: Tensors): Tensors {
    const { inputNames } = this.#segments[segment]!;
    return Object.fromEntries(Object.entries(tensors).filter(([name]) => inputNames.includes(name)));
  }

  release(): void {
    for (const segment of this.#segments) segment.release();
  }

  /** As the block's graph ends a pass: `state` becomes before + damping · (state − before). */
  #endPass(before: Float32Array, state: Float32Array): { latentDiff: Float32Array } {
    const latentDiff = new Float32Array(state.length / this.#hidden);
    for (let row = 0; row < latentDiff.length; row++) {
      let [changes, squares] = [0, 0];
      for (let at = row * this.#hidden; at < (row + 1) * this.#hidden; at++) {
        const change = Math.fround(state[at]! - before[at]!);
        if (this.#damping !== 1) state[at] = before[at]! + Math.fround(change * this.#damping);
        changes += (state[at]! - before[at]!) ** 2;
        squares += state[at]! ** 2;
      }
      latentDiff[row] = Math.sqrt(changes / squares);
    }
    return { latentDiff };
  }

  #entry({ stack, input }: StackBatch): { feeds: Tensors; rows: number } {
    if (stack === 'prelude') {
      const ids = this.#tokenIds.tensor(input as Int32Array, [input.length]);
      return { feeds: { token_ids: ids }, rows: input.length };
    }
    const rows = input.length / this.#hidden;
    const state = new Tensor('float32', input as Float32Array, [rows, this.#hidden]);
    return { feeds: { state }, rows };
  }
}

/** What the last segment puts out. */
function resultOf(out: Tensors): Omit<StackResult, 'runMs'> {
  const floats = (name: string) => out[name]?.data as Float32Array | undefined;
  const [gate, latentDiff] = [floats('gate'), floats('latent_diff')];
  return { state: floats('state_out')!, ...(gate && { gate }), ...(latentDiff && { latentDiff }) };
}

/** How many of each chunk's rows are among `wanted`. */
function countsOf(rowCounts: Int32Array, wanted: readonly number[]): Int32Array {
  let [end, next] = [0, 0];
  return rowCounts.map((count) => {
    end += count;
    const first = next;
    while (next < wanted.length && wanted[next]! < end) next++;
    return next - first;
  });
}
