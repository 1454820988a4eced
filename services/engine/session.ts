import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { Tensor } from 'onnxruntime-node';
import { type Binding, binding, initOrt } from 'onnxruntime-node/dist/binding.js';

export interface SessionOptions {
  /** Threads that share each operator. */
  readonly threads: number;
  readonly provider: 'cpu';
}

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

  /** Runs the graph on this thread; every output unless `fetches` says less. @throws Error from the runtime. */
  run(feeds: Tensors, fetches = this.#outputs): Tensors {
    return this.#session.run(feeds, fetches, {}) as Tensors;
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

/** @throws RondoError BUNDLE_INVALID naming the graph that does not load. */
export function openSession(bundle: Bundle, file: string, { threads, provider }: SessionOptions): Session {
  const path = bundlePath(bundle, file);
  initOrt();
  const session = new binding.InferenceSession();
  try {
    session.loadModel(path, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Every session would keep the most it ever needed; what they give back is there for the next one.
      enableCpuMemArena: false,
      graphOptimizationLevel: 'all',
      // Threads spin between operators, where waking them would cost more than the operator, but never between runs:
      // every session has threads of its own, and the cores are then attention's, or another engine's.
      extra: { session: { intra_op: { allow_spinning: threads > 1 ? '1' : '0' }, force_spinning_stop: '1' } },
    });
  } catch (cause) {
    throw new RondoError('BUNDLE_INVALID', `${path}: ${(cause as Error).message}`, { cause });
  }
  return new Session(session);
}
