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
  readonly #kernel: HostKernel;
  /** What attention hands to the next segment, for the longest run. */
  readonly #attended: Float32Array;
  readonly #attendedFloats: number;
  readonly #tokenIds = new Int64Feed();
  readonly #depths: readonly DepthFeed[];

  private constructor(bundle: Bundle, segments: readonly Session[], kernel: HostKernel) {
    const { shape, maxDepth, loop } = bundle.manifest;
    this.#hidden = shape.hidden;
    this.#damping = Math.fround(loop.damping);
    this.#segments = segments;
    this.#kernel = kernel;
    this.#attendedFloats = shape.heads * shape.headDim;
    this.#attended = new Float32Array(LIMITS.stepRowsMax * this.#attendedFloats);
    this.#depths = depthFeeds(maxDepth, new Set(segments.flatMap(({ inputNames }) => inputNames)));
  }

  static open(
    bundle: Bundle,
    files: readonly string[],
    kernel: HostKernel,
    options: SessionOptions,
  ): SegmentStack {
    const segments = files.map((file) => openSession(bundle, file, options));
    return new SegmentStack(bundle, segments, kernel);
  }

  /** Takes a batch's rows through the stack: what `Engine.runStack` promises, but for the head. */
  run(batch: StackBatch): StackResult {
    this.#kernel.copy(batch.stack, batch.copies);
    const begin = performance.now();
    this.#kernel.begin(batch);
    const passage = this.#enter(batch);
    const result = this.#kernel.takesLayers(batch.stack)
      ? this.#throughKernel(batch, passage)
      : this.#throughSegments(batch, passage);
    return { ...result, runMs: performance.now() - begin };
  }

  /** The layers in the kernel; the first and the last segment in the graph runtime where they are not plain. */
  #throughKernel(batch: StackBatch, passage: Passage): Omit<StackResult, 'runMs'> {
    const { stack } = batch;
    const kernel = this.#kernel;
    const first = kernel.entersLayers(stack) ? {} : this.#first(passage);
    const stream = Float32Array.from(floatsOf(streamOf(first, passage)));
    const qkv = first.qkv && floatsOf(first.qkv);
    kernel.throughLayers(stack, qkv, stream, floatsOf(passage.attended), depthGroups(batch));
    if (kernel.leavesLayers(stack)) {
      return { state: stream, ...(stack === 'block' && this.#endPass(batch.input as Float32Array, stream)) };
    }
    const residual = new Tensor('float32', stream, [passage.rows, this.#hidden]);
    return resultOf(this.#behind(this.#segments.length - 1, batch, passage, residual));
  }

  /** Segment by segment in the graph runtime, attending in the kernel between them. */
  #throughSegments(batch: StackBatch, passage: Passage): Omit<StackResult, 'runMs'> {
    const last = this.#segments.length - 1;
    const attended = floatsOf(passage.attended);
    const wanted = batch.wanted && batch.wanted.length < passage.rows ? batch.wanted : undefined;
    let out = this.#first(passage);
    for (let layer = 0; layer < last; layer++) {
      const narrowed = layer === last - 1 ? wanted : undefined;
      if (narrowed) this.#kernel.narrow(narrowed);
      this.#kernel.run(layer, floatsOf(out.qkv!), attended);
      discard(out.qkv);
      const { residual_out: consumed } = out;
      const residual = streamOf(out, passage);
      if (narrowed) {
        const ended = this.#endOf(batch, narrowed, attended, floatsOf(residual));
        discard(consumed);
        return ended;
      }
      out = this.#behind(layer + 1, batch, passage, residual);
      discard(consumed);
    }
    return resultOf(out);
  }

  #first({ feeds, depths }: Passage): Tensors {
    return this.#segments[0]!.run({ ...feeds, ...this.#inputsOf(0, depths) });
  }

  /** A segment behind an attention; the last of the block ends the pass and asks what came in. */
  #behind(segment: number, { stack }: StackBatch, passage: Passage, residual: Tensor): Tensors {
    const { attended, depths, feeds } = passage;
    const endsPass = segment === this.#segments.length - 1 && stack === 'block';
    return this.#segments[segment]!.run({
      attended,
      residual,
      ...this.#inputsOf(segment, depths),
      ...(endsPass && feeds),
    });
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

  #enter(batch: StackBatch): Passage {
    const feeds = this.#entry(batch);
    const rows = batch.stack === 'prelude' ? batch.input.length : batch.input.length / this.#hidden;
    const floats = this.#attended.subarray(0, rows * this.#attendedFloats);
    const attended = new Tensor('float32', floats, [rows, this.#attendedFloats]);
    return { rows, feeds, attended, depths: this.#depthTensors(batch, rows) };
  }

  #entry({ stack, input }: StackBatch): Tensors {
    if (stack === 'prelude') return { token_ids: this.#tokenIds.tensor(input as Int32Array, [input.length]) };
    const rows = input.length / this.#hidden;
    return { state: new Tensor('float32', input as Float32Array, [rows, this.#hidden]) };
  }
}

/** A batch on its way through the stack. */
interface Passage {
  readonly rows: number;
  /** Token ids [N], or states [N, hidden]. */
  readonly feeds: Tensors;
  /** What attention puts out and the next segment takes: [N, heads · headDim]. */
  readonly attended: Tensor;
  /** What segments may ask of each row's depth. */
  readonly depths: Tensors;
}

const floatsOf = (tensor: Tensors[string]): Float32Array => tensor.data as Float32Array;

/** The residual stream: before the first addition it is the state that came in. */
const streamOf = (out: Tensors, { feeds }: Passage): Tensor => (out.residual_out ?? feeds.state)!;

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
