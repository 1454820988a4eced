import type { Bundle, Manifest } from '@rondo/bundle';
import { LIMITS, RondoError } from '@rondo/core';
import { Tensor } from 'onnxruntime-node';
import { DeviceStates, dispose } from './device-states.ts';
import { readsEmbedding } from './embedding-table.ts';
import {
  type Attention,
  type HeadBatch,
  type HeadResult,
  type PoolSizes,
  type PropagateBatch,
  STACKS,
  type Stack,
  type StackBatch,
  type StackResult,
} from './engine.ts';
import { GraphStack } from './graph-stack.ts';
import type { LeftStates } from './graph-states.ts';
import { HostKernel } from './host-kernel.ts';
import { pickRows } from './pick-rows.ts';
import { keepsStates, type Provider } from './provider.ts';
import { ProviderProof } from './provider-proof.ts';
import { SegmentStack } from './segment-stack.ts';
import { type Fetches, fetchesOf, openSession, type Session, type SessionOptions } from './session.ts';

export interface GraphsOptions extends Omit<SessionOptions, 'proof'> {
  readonly pools: PoolSizes;
  readonly attention: Attention;
}

interface LoadedStack {
  run(batch: StackBatch): StackResult & Pick<LeftStates, 'forHead'>;
  release(): void;
}

const HEAD: Fetches = fetchesOf(['top_logits', 'top_ids', 'log_sum_exp']);
const HEAD_AND_LOGITS: Fetches = { ...HEAD, logits: null };

/** A bundle's graphs and the K/V they read, on the thread that runs them: a run blocks it. */
export class ModelGraphs {
  readonly #hidden: number;
  readonly #vocab: number;
  readonly #context: number;
  readonly #pagePositions: number;
  readonly #stacks: Partial<Record<Stack, LoadedStack>>;
  readonly #head: Session;
  readonly #propagate: Session | undefined;
  readonly #attention: HostKernel | undefined;
  readonly #states: DeviceStates | undefined;
  readonly #provider: Provider;
  /** Absent for the CPU, which needs none. */
  readonly #proof: ProviderProof | undefined;

  private constructor(
    bundle: Bundle,
    { provider, proof }: SessionOptions,
    stacks: Partial<Record<Stack, LoadedStack>>,
    head: Session,
    paged: { propagate?: Session; attention: HostKernel } | undefined,
    states: DeviceStates | undefined,
  ) {
    this.#provider = provider;
    this.#proof = proof;
    this.#hidden = bundle.manifest.shape.hidden;
    this.#vocab = bundle.manifest.shape.vocab;
    this.#context = bundle.manifest.shape.context;
    this.#pagePositions = bundle.manifest.pagePositions;
    this.#stacks = stacks;
    this.#head = head;
    this.#propagate = paged?.propagate;
    this.#attention = paged?.attention;
    this.#states = states;
  }

  static load(bundle: Bundle, given: GraphsOptions): ModelGraphs {
    const proof = given.provider === 'cpu' ? undefined : new ProviderProof();
    try {
      return ModelGraphs.#load(bundle, { ...given, proof });
    } catch (error) {
      proof?.close();
      throw error;
    }
  }

  static #load(bundle: Bundle, options: GraphsOptions & SessionOptions): ModelGraphs {
    const { graphs, segments, layers, deviceGraphs, deviceSegments } = bundle.manifest;
    const graphOf = (role: Stack | 'head') =>
      (options.provider !== 'cpu' && deviceGraphs?.[role]) || graphs[role];
    const attention =
      options.attention === 'pages'
        ? new HostKernel(attendedBy(options.provider, bundle.manifest), options)
        : undefined;
    attention?.load(bundle);
    const states = keepsStates(options.provider, options.attention)
      ? new DeviceStates(bundle.manifest.shape.hidden, options)
      : undefined;
    const stacks: Partial<Record<Stack, LoadedStack>> = {};
    for (const stack of STACKS) {
      if (stack === 'prelude' && readsEmbedding(bundle.manifest, options.attention)) continue;
      const file = graphOf(stack);
      if (attention && layers[stack] > 0) {
        const files = (options.provider !== 'cpu' && deviceSegments?.[stack]) || segments[stack];
        stacks[stack] = SegmentStack.open(bundle, files, attention, options);
      } else if (file !== undefined) {
        const pages = options.pools[stack];
        stacks[stack] = GraphStack.open(bundle, file, layers[stack], pages, options, states);
      }
    }
    const head = openSession(bundle, graphOf('head')!, options);
    const propagate = attention && graphs.propagate && openSession(bundle, graphs.propagate, options);
    return new ModelGraphs(
      bundle,
      options,
      stacks,
      head,
      attention && { attention, ...(propagate && { propagate }) },
      states,
    );
  }

  runStack(batch: StackBatch): StackResult {
    const stack = this.#stacks[batch.stack];
    if (!stack) throw new RondoError('ENGINE_FAILED', `this bundle has no ${batch.stack} stack`);
    const { forHead, ...result } = stack.run(batch);
    if (!batch.head) return result;
    const { rows, wantLogits } = batch.head;
    const head = forHead
      ? this.#headOf(forHead, wantLogits)
      : this.runHead({ state: pickRows(result.state, rows, this.#hidden), wantLogits });
    return { ...result, head };
  }

  /** Projects K and V of rows that left the loop from their last state and writes them to the pages given. */
  propagate({ state, positions, pages }: PropagateBatch): number {
    const [session, attention] = [this.#propagate, this.#attention];
    if (!session || !attention) {
      throw new RondoError(
        'ENGINE_FAILED',
        'kvPolicy propagate needs attention over pages and a block that is the same at every depth',
      );
    }
    const begin = performance.now();
    const rows = positions.length;
    const out = session.run({ state: new Tensor('float32', state, [rows, this.#hidden]) });
    attention.beginKeys('block', positions, pages);
    for (let layer = 0; out[`kv_${layer}`]; layer++) {
      attention.placeKeys(layer, out[`kv_${layer}`]!.data as Float32Array);
    }
    return performance.now() - begin;
  }

  runHead(batch: HeadBatch): HeadResult {
    const { state, wantLogits } = batch;
    if (this.#states) return this.#headOf(this.#states.forHead(batch), wantLogits);
    const rows = state.length / this.#hidden;
    const kernel = this.#attention?.head;
    if (kernel?.takes(rows)) return kernel.run({ state, wantLogits });
    return this.#headOf(new Tensor('float32', state, [rows, this.#hidden]), wantLogits);
  }

  #headOf(state: Tensor, wantLogits: boolean): HeadResult {
    const fetches = wantLogits ? HEAD_AND_LOGITS : HEAD;
    const begin = performance.now();
    const out = this.#head.run({ state }, fetches);
    dispose(state);
    return {
      topLogits: out.top_logits!.data as Float32Array,
      topIds: out.top_ids!.data as Int32Array,
      logSumExp: out.log_sum_exp!.data as Float32Array,
      ...(wantLogits && { logits: out.logits!.data as Float32Array }),
      runMs: performance.now() - begin,
    };
  }

  /**
   * Runs every graph once on the null page; what cannot run, or runs elsewhere than on the provider asked for, fails here and
   * not under a request. Our own attention runs the longest step too: one row goes past the layers' graphs, and a first prompt
   * would wait for V8's second compiler and for memory that no run has touched.
   */
  warmUp(): void {
    try {
      this.#run(1);
      if (this.#attention) this.#run(Math.min(LIMITS.stepRowsMax, this.#context));
      if (this.#states) this.#runOnDevice();
      this.#proof?.check(this.#provider);
    } finally {
      this.#proof?.close();
    }
  }

  /** `rows` of one sequence through every stack, and one through the head. */
  #run(rows: number): void {
    for (const stack of STACKS) {
      if (!this.#stacks[stack]) continue;
      const floats = rows * this.#hidden;
      const input = stack === 'prelude' ? new Int32Array(rows) : new Float32Array(floats).fill(1);
      const { state } = this.runStack({
        stack,
        input,
        starts: new Int32Array(1),
        rowCounts: Int32Array.of(rows),
        depths: new Int32Array(1),
        pageTable: new Int32Array(Math.ceil(rows / this.#pagePositions)),
        copies: [],
      });
      if (state.length !== floats) {
        throw new RondoError(
          'ENGINE_FAILED',
          `${stack} graph returned ${state.length} floats for ${rows} rows of ${this.#hidden}`,
        );
      }
    }
    const { topIds } = this.runHead({
      state: new Float32Array(this.#hidden).fill(1),
      wantLogits: false,
    });
    if (topIds.some((id) => id < 0 || id >= this.#vocab)) {
      throw new RondoError('ENGINE_FAILED', `head graph returned a token id outside 0…${this.#vocab - 1}`);
    }
  }

  /** Two rows into slots, and from there and from here through the block again: every graph of states runs. */
  #runOnDevice(): void {
    const rows = (input: Float32Array, from: readonly number[], to: readonly number[]): StackBatch => ({
      stack: 'block',
      input,
      starts: new Int32Array(2),
      rowCounts: Int32Array.of(1, 1),
      depths: new Int32Array(2),
      pageTable: new Int32Array(2),
      copies: [],
      places: { from: Int32Array.from(from), to: Int32Array.from(to), slots: 2 },
    });
    const ones = (count: number) => new Float32Array(count * this.#hidden).fill(1);
    this.runStack(rows(ones(2), [-1, -1], [0, 1]));
    this.runStack(rows(ones(1), [0, -1], [0, -1]));
    this.runHead({ state: ones(0), slots: Int32Array.of(0), wantLogits: false });
  }

  /** Overwrites pages with NaN, so that a run that reads what it did not write shows. */
  poison(stack: Stack, pages: Int32Array): void {
    this.#attention?.poison(stack, pages);
  }

  async release(): Promise<void> {
    for (const stack of Object.values(this.#stacks)) stack.release();
    this.#head.release();
    this.#propagate?.release();
    this.#states?.release();
    await this.#attention?.close();
  }
}

/** Layers and a head that the kernel takes whole would run on the host, whatever the provider. */
const attendedBy = (provider: Provider, manifest: Manifest): Manifest =>
  provider === 'cpu' ? manifest : { ...manifest, layerWeights: undefined, headWeights: undefined };
