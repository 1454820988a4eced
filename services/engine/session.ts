import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { InferenceSession } from 'onnxruntime-node';

export interface SessionOptions {
  /** Threads that share each operator. */
  readonly threads: number;
  readonly provider: 'cpu';
}

/** @throws RondoError BUNDLE_INVALID naming the graph that does not load. */
export async function openSession(
  bundle: Bundle,
  file: string,
  { threads, provider }: SessionOptions,
): Promise<InferenceSession> {
  const path = bundlePath(bundle, file);
  try {
    return await InferenceSession.create(path, {
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
}
