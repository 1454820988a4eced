import { Worker } from 'node:worker_threads';
import type { Bundle, Manifest } from '@rondo/bundle';
import { LIMITS, RondoError } from '@rondo/core';
import { EmbeddingTable } from './embedding-table.ts';
import type {
  Attention,
  Engine,
  EngineDescription,
  HeadBatch,
  HeadResult,
  PropagateBatch,
  Stack,
  StackBatch,
  StackResult,
} from './engine.ts';
import { type EngineReply, type EngineRequest, type EngineThreadData, READY_ID } from './engine-protocol.ts';
import { fitsKernel } from './host-kernel.ts';
import { numberBytesOf, poolSizes } from './pool-sizes.ts';
import { keepsStates, type Provider } from './provider.ts';

export interface EngineOptions {
  /** Intra-op threads of ONNX Runtime. */
  readonly threads: number;
  /** Bytes of K and V over all three stacks. */
  readonly kvBytes: number;
  readonly provider: Provider;
  /** Which of several CUDA devices; the first by default. */
  readonly deviceId?: number | undefined;
  /** By default over pages, where the model's heads allow it; on WebGPU inside the graphs. */
  readonly attention?: Attention | undefined;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * Starts an engine thread, loads the bundle's graphs there and runs each once.
 * @throws RondoError CONFIG_INVALID for a KV budget below one page or an attention that the bundle's adapters rule out,
 * BUNDLE_INVALID for a graph that does not load or an embedding that cannot be opened.
 */
export async function createEngine(bundle: Bundle, options: EngineOptions): Promise<Engine> {
  const { threads, provider, deviceId } = options;
  const attention = options.attention ?? defaultAttention(bundle.manifest, provider);
  refuseWithoutBlock(bundle.manifest, attention);
  const pools = poolSizes(bundle.manifest, options.kvBytes, numberBytesOf(bundle.manifest, attention));
  const data: EngineThreadData = { bundle, options: { threads, provider, deviceId, attention, pools } };
  const stays = keepsStates(provider, attention) && { stateSlots: LIMITS.deviceStateRows };
  const description = { provider, pools, ...stays };
  const embedding = EmbeddingTable.open(bundle, attention);
  try {
    // Last, for a thread that nobody knows of keeps the process alive; one that does not become ready ends by itself.
    const thread = new Worker(new URL('./engine-thread.ts', import.meta.url), { workerData: data });
    const engine = new ThreadEngine(thread, description, embedding);
    await engine.ready;
    return engine;
  } catch (error) {
    embedding?.release();
    throw error;
  }
}

/** K and V can stay on a WebGPU device, where our own attention cannot reach them; the binding brings CUDA's back after each run. */
function defaultAttention(manifest: Manifest, provider: Provider): Attention {
  if (provider === 'webgpu' && manifest.graphs.block !== undefined) return 'graph';
  return fitsKernel(manifest) ? 'pages' : 'graph';
}

/** Bundles of older versions whose depths differ have the block in segments only. */
function refuseWithoutBlock({ name, graphs, shape }: Manifest, attention: Attention): void {
  if (attention === 'pages' || graphs.block !== undefined) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `attention 'graph': ${name} was converted without a graph of the whole block and runs only with attention 'pages' and head sizes that are multiples of 4, here ${shape.headDim}; convert it again`,
  );
}

/** The owner's side of an engine thread. The thread is never terminated from outside: mid-run that aborts the process. */
class ThreadEngine implements Engine {
  readonly description: EngineDescription;
  readonly ready: Promise<unknown>;
  readonly failed: Promise<RondoError>;
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #nextId = READY_ID + 1;
  #failure: RondoError | undefined;
  #closing = false;
  readonly #settleFailed: (error: RondoError) => void;
  /** Read here: to the thread and back takes many times as long as a few rows of it. */
  readonly #embedding: EmbeddingTable | undefined;

  constructor(thread: Worker, description: EngineDescription, embedding: EmbeddingTable | undefined) {
    this.description = description;
    this.#embedding = embedding;
    this.#thread = thread;
    this.ready = new Promise((resolve, reject) => this.#waiting.set(READY_ID, { resolve, reject }));
    ({ promise: this.failed, resolve: this.#settleFailed } = Promise.withResolvers<RondoError>());
    this.#exited = new Promise((resolve) => thread.once('exit', () => resolve()));
    thread.on('message', (reply: EngineReply) => this.#settle(reply));
    thread.on('error', (cause) => this.#fail(cause));
    thread.on('exit', () => this.#fail(undefined));
  }

  async runStack(batch: StackBatch): Promise<StackResult> {
    if (batch.stack === 'prelude' && this.#embedding) {
      if (this.#failure) throw this.#failure;
      return this.#embedding.run(batch);
    }
    const { input, starts, rowCounts, depths, pageTable } = batch;
    const arrays = [input, starts, rowCounts, depths, pageTable];
    return this.#call<StackResult>({ id: this.#nextId++, kind: 'stack', batch }, arrays);
  }

  runHead(batch: HeadBatch): Promise<HeadResult> {
    return this.#call<HeadResult>({ id: this.#nextId++, kind: 'head', batch }, [batch.state]);
  }

  propagate(batch: PropagateBatch): Promise<number> {
    const { state, positions, pages } = batch;
    return this.#call<number>({ id: this.#nextId++, kind: 'propagate', batch }, [state, positions, pages]);
  }

  poison(stack: Stack, pages: Int32Array): Promise<void> {
    return this.#call<void>({ id: this.#nextId++, kind: 'poison', stack, pages }, [pages]);
  }

  async close(): Promise<void> {
    if (!this.#closing) this.#embedding?.release();
    this.#closing = true;
    if (this.#failure) return;
    await this.#call({ id: this.#nextId++, kind: 'close' }, []);
    await this.#exited;
  }

  #call<Result>(request: EngineRequest, arrays: readonly (Int32Array | Float32Array)[]): Promise<Result> {
    if (this.#failure) return Promise.reject(this.#failure);
    const transfer = [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))];
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { resolve: (result) => resolve(result as Result), reject });
      this.#thread.postMessage(request, transfer);
    });
  }

  #settle(reply: EngineReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('result' in reply) waiting?.resolve(reply.result);
    else {
      const { code, message, stack } = reply.error;
      // The stack here tells nothing. A message of its own, for a log has it behind the other, and the stack begins with the thread's.
      const cause =
        stack === undefined ? undefined : Object.assign(new Error("in the engine's thread"), { stack });
      waiting?.reject(new RondoError(code, message, { cause }));
    }
  }

  #fail(cause: unknown): void {
    this.#failure ??= new RondoError('ENGINE_FAILED', 'the engine thread ended', { cause });
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
    if (!this.#closing) this.#settleFailed(this.#failure);
  }
}
