import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { HeadBatch, HeadResult, PoolSizes, Stack, StackBatch, StackResult } from './engine.ts';
import { Int64Feed } from './int64-feed.ts';
import { KvStore } from './kv-store.ts';

export interface GraphsOptions {
  readonly threads: number;
  readonly pools: PoolSizes;
  readonly provider: 'cpu';
}

interface LoadedStack {
  readonly session: InferenceSession;
  readonly store: KvStore | undefined;
}

/**
 * A bundle's graphs and the K/V they read, on the thread that runs them: `run` blocks it. Outputs of ONNX Runtime are
 * always copied, so only new K/V rows leave a graph and are written to the pages here.
 */
export class ModelGraphs {
  readonly #hidden: number;
  readonly #vocab: number;
  readonly #pagePositions: number;
  readonly #stacks: Partial<Record<Stack, LoadedStack>>;
  readonly #head: InferenceSession;
  readonly #positions = new Int64Feed();
  readonly #pastLengths = new Int64Feed();
  readonly #pageTable = new Int64Feed();
  readonly #depths = new Int64Feed();
  readonly #tokenIds = new Int64Feed();

  private constructor(bundle: Bundle, stacks: Partial<Record<Stack, LoadedStack>>, head: InferenceSession) {
    this.#hidden = bundle.manifest.shape.hidden;
    this.#vocab = bundle.manifest.shape.vocab;
    this.#pagePositions = bundle.manifest.pagePositions;
    this.#stacks = stacks;
    this.#head = head;
  }

  static async load(bundle: Bundle, options: GraphsOptions): Promise<ModelGraphs> {
    const { graphs, layers, shape, pagePositions } = bundle.manifest;
    const open = (file: string) =>
      InferenceSession.create(bundlePath(bundle, file), {
        executionProviders: [options.provider],
        intraOpNumThreads: options.threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        // Two engines share the cores of a small machine; a spinning pool would take them from the other.
        extra: { session: { intra_op: { allow_spinning: options.threads > 1 ? '1' : '0' } } },
      }).catch((cause: unknown) => {
        throw new RondoError('BUNDLE_INVALID', `${bundlePath(bundle, file)}: ${(cause as Error).message}`, {
          cause,
        });
      });
    const stack = async (name: Stack, file: string): Promise<LoadedStack> => ({
      session: await open(file),
      store:
        layers[name] > 0 ? new KvStore(shape, layers[name], pagePositions, options.pools[name]) : undefined,
    });
    return new ModelGraphs(
      bundle,
      {
        prelude: await stack('prelude', graphs.prelude),
        block: await stack('block', graphs.block),
        ...(graphs.coda !== undefined && { coda: await stack('coda', graphs.coda) }),
      },
      await open(graphs.head),
    );
  }

  async runStack(batch: StackBatch): Promise<StackResult> {
    const loaded = this.#stacks[batch.stack];
    if (!loaded) throw new RondoError('ENGINE_FAILED', `this bundle has no ${batch.stack} stack`);
    const { session, store } = loaded;
    const chunks = batch.starts.length;
    const rowsPadded = Math.max(...batch.rowCounts);
    store?.clear(batch.freshPages);
    for (const copy of batch.copies) store?.copy(copy);
    const feeds = this.#feeds(batch, store, rowsPadded);
    const begin = performance.now();
    const out = await session.run(feeds);
    const runMs = performance.now() - begin;
    if (store) {
      const data = out.new_kv!.data as Float32Array;
      this.#writeKv(store, batch, { data, chunks, rowsPadded });
    }
    const floats = (name: string) => out[name]?.data as Float32Array | undefined;
    const [gate, latentDiff] = [floats('gate'), floats('latent_diff')];
    return { state: floats('state_out')!, ...(gate && { gate }), ...(latentDiff && { latentDiff }), runMs };
  }

  async runHead({ state, wantLogits }: HeadBatch): Promise<HeadResult> {
    const rows = state.length / this.#hidden;
    const fetches = ['top_logits', 'top_ids', 'log_sum_exp', ...(wantLogits ? ['logits'] : [])];
    const begin = performance.now();
    const out = await this.#head.run({ state: new Tensor('float32', state, [rows, this.#hidden]) }, fetches);
    return {
      topLogits: out.top_logits!.data as Float32Array,
      topIds: out.top_ids!.data as Int32Array,
      logSumExp: out.log_sum_exp!.data as Float32Array,
      ...(wantLogits && { logits: out.logits!.data as Float32Array }),
      runMs: performance.now() - begin,
    };
  }

  /** Runs every graph once on the null page; what cannot run fails here and not under a request. */
  async warmUp(): Promise<void> {
    for (const stack of ['prelude', 'block', 'coda'] as const) {
      if (!this.#stacks[stack]) continue;
      const input = stack === 'prelude' ? new Int32Array(1) : new Float32Array(this.#hidden).fill(1);
      const { state } = await this.runStack({
        stack,
        input,
        starts: new Int32Array(1),
        rowCounts: Int32Array.of(1),
        depths: new Int32Array(1),
        pageTable: new Int32Array(1),
        freshPages: new Int32Array(0),
        copies: [],
      });
      // The null page must read as zeros: padded table entries point at it.
      this.#stacks[stack].store?.clear(Int32Array.of(0));
      if (state.length !== this.#hidden) {
        throw new RondoError(
          'ENGINE_FAILED',
          `${stack} graph returned ${state.length} floats for one row of ${this.#hidden}`,
        );
      }
    }
    const { topIds } = await this.runHead({
      state: new Float32Array(this.#hidden).fill(1),
      wantLogits: false,
    });
    if (topIds.some((id) => id < 0 || id >= this.#vocab)) {
      throw new RondoError('ENGINE_FAILED', `head graph returned a token id outside 0…${this.#vocab - 1}`);
    }
  }

  async release(): Promise<void> {
    for (const stack of Object.values(this.#stacks)) await stack.session.release();
    await this.#head.release();
  }

  #feeds(batch: StackBatch, store: KvStore | undefined, rowsPadded: number): Record<string, Tensor> {
    const chunks = batch.starts.length;
    const rows = chunks * rowsPadded;
    const feeds: Record<string, Tensor> = {};
    if (batch.stack === 'prelude') {
      feeds.token_ids = this.#tokenIds.tensor(batch.input as Int32Array, [chunks, rowsPadded]);
    } else {
      feeds.state = new Tensor('float32', batch.input as Float32Array, [rows, this.#hidden]);
    }
    if (batch.stack === 'block') feeds.depths = this.#depths.tensor(batch.depths, [chunks]);
    if (!store) return feeds;
    const positions = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      positions[row] = batch.starts[Math.floor(row / rowsPadded)]! + (row % rowsPadded);
    }
    feeds.positions = this.#positions.tensor(positions, [chunks, rowsPadded]);
    feeds.past_lengths = this.#pastLengths.tensor(batch.starts, [chunks]);
    feeds.page_table = this.#pageTable.tensor(batch.pageTable, [chunks, batch.pageTable.length / chunks]);
    feeds.kv_pool = new Tensor('float32', store.data, [store.rows, store.rowFloats]);
    return feeds;
  }

  #writeKv(
    store: KvStore,
    batch: StackBatch,
    kv: { data: Float32Array; chunks: number; rowsPadded: number },
  ): void {
    const pagesPerChunk = batch.pageTable.length / kv.chunks;
    for (let chunk = 0; chunk < kv.chunks; chunk++) {
      for (let row = 0; row < batch.rowCounts[chunk]!; row++) {
        const position = batch.starts[chunk]! + row;
        const page = batch.pageTable[chunk * pagesPerChunk + Math.floor(position / this.#pagePositions)]!;
        store.write(kv, chunk, row, page, position % this.#pagePositions);
      }
    }
  }
}
