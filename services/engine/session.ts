import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { type Binding, binding, initOrt } from 'onnxruntime-node/dist/binding.js';
import type { Provider } from './provider.ts';
import type { ProviderProof } from './provider-proof.ts';

export interface SessionOptions {
  /** Threads that share each operator. */
  readonly threads: number;
  readonly provider: Provider;
  /** Which of several devices, for providers that let it be chosen. */
  readonly deviceId?: number | undefined;
  /** Watches where the session's first runs take place. */
  readonly proof?: ProviderProof | undefined;
}

/** Outputs that stay in the memory of the device. */
export type OutputLocations = Readonly<Record<string, 'gpu-buffer'>>;

export type Tensors = Record<string, Tensor>;

/** Names of the outputs a run is to put out. */
export type Fetches = Readonly<Record<string, null>>;

export const fetchesOf = (names: readonly string[]): Fetches =>
  Object.fromEntries(names.map((name) => [name, null]));

/**
 * A loaded graph, called without a turn of the event loop: InferenceSession.run of the package defers the same blocking
 * call by setImmediate, a turn of the event loop for each of a token's runs (ADR 11). The runtime's version is pinned.
 */
export class Session {
  readonly inputNames: readonly string[];
  readonly #session: Binding.InferenceSession;
  readonly #outputs: Fetches;

  constructor(session: Binding.InferenceSession) {
    this.#session = session;
    this.inputNames = session.inputMetadata.map(({ name }) => name);
    this.#outputs = fetchesOf(session.outputMetadata.map(({ name }) => name));
  }

  /** Runs the graph on this thread; every output unless `fetches` says less. @throws RondoError ENGINE_FAILED with what the runtime says. */
  run(feeds: Tensors, fetches = this.#outputs): Tensors {
    try {
      return this.#session.run(feeds, fetches, {}) as Tensors;
    } catch (thrown) {
      throw RondoError.from(thrown, 'ENGINE_FAILED');
    }
  }

  /** Writes the profile that `proof` asked for. */
  endProfiling(): void {
    this.#session.endProfiling();
  }

  release(): void {
    this.#session.dispose();
  }
}

/** Outputs smaller than this are left to the garbage collector: detaching them would cost more than they hold. */
const DISCARD_BYTES = 64 * 1024;

/**
 * Gives the memory of an output that is read no more back at once. A step of many rows puts out a hundred megabytes
 * that the collector, who sees small objects only, would let lie.
 */
export function discard(tensor: Tensor | undefined): void {
  const data = tensor?.data;
  if (ArrayBuffer.isView(data) && data.byteLength >= DISCARD_BYTES) (data.buffer as ArrayBuffer).transfer(0);
}

/**
 * @throws RondoError BUNDLE_INVALID naming the graph that does not load, CONFIG_INVALID when the machine has nothing that the
 * provider could run on.
 */
export function openSession(
  bundle: Bundle,
  file: string,
  options: SessionOptions,
  outputs?: OutputLocations,
): Session {
  const path = bundlePath(bundle, file);
  return opened(path, (session, runtime) => session.loadModel(path, runtime), options, outputs);
}

/** A graph that is no bundle's. @throws RondoError CONFIG_INVALID as `openSession`. */
export function openGraph(graph: Uint8Array, options: SessionOptions, outputs?: OutputLocations): Session {
  const { buffer, byteOffset, length } = graph;
  const load: Load = (session, runtime) =>
    session.loadModel(buffer as ArrayBuffer, byteOffset, length, runtime);
  return opened('a graph of states', load, options, outputs);
}

type Load = (session: Binding.InferenceSession, options: InferenceSession.SessionOptions) => void;

function opened(
  name: string,
  load: Load,
  { threads, provider, deviceId, proof }: SessionOptions,
  outputs?: OutputLocations,
): Session {
  initOrt();
  const session = new binding.InferenceSession();
  try {
    load(session, {
      executionProviders: [deviceId === undefined ? provider : { name: provider, deviceId }],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Every session would keep the most it ever needed; what they give back is there for the next one.
      enableCpuMemArena: false,
      graphOptimizationLevel: 'all',
      ...(outputs && { preferredOutputLocation: outputs }),
      // That indices are computed on the CPU is meant so; `proof` says when more is.
      ...(provider !== 'cpu' && { logSeverityLevel: 3 }),
      ...(proof && { enableProfiling: true, profileFilePrefix: proof.nextPrefix() }),
      // Threads spin between operators, where waking them would cost more than the operator, but never between runs:
      // every session has threads of its own, and the cores are then attention's, or another engine's.
      extra: { session: { intra_op: { allow_spinning: threads > 1 ? '1' : '0' }, force_spinning_stop: '1' } },
    });
  } catch (cause) {
    const { message } = cause as Error;
    if (provider !== 'cpu' && NO_DEVICE.test(message)) {
      throw new RondoError(
        'CONFIG_INVALID',
        `provider ${provider}: ${NO_DEVICE_REMEDY[provider]} (${message.trim()})`,
        { cause },
      );
    }
    throw new RondoError('BUNDLE_INVALID', `${name}: ${message}`, { cause });
  }
  const ready = new Session(session);
  proof?.watch(ready);
  return ready;
}

/** What the runtime says where a provider has no library or no device. */
const NO_DEVICE = /adapter|execution provider|backend not found|providers_(cuda|shared)|CUDA|Vulkan/i;

const NO_DEVICE_REMEDY = {
  webgpu:
    'no GPU that Vulkan or Metal can reach; install the driver and libvulkan1, and give the container the GPU',
  cuda: 'no CUDA device or no CUDA library of ONNX Runtime; install it, or use --provider webgpu',
} as const;
