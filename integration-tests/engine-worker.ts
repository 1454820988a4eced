import type { Bundle } from '@rondo/bundle';
import { createLog, Metrics } from '@rondo/chassis';
import { address, type GenerateSpec, sequenceId, splitDepths, type WorkerRef, workerId } from '@rondo/core';
import type { Engine } from '@rondo/engine';
import { connectWorker } from '@rondo/wire';
import { serveEngine } from '@rondo/worker';

/** What a test says of a sequence; the rest is greedy and homed. */
export type Asked = Pick<GenerateSpec, 'promptIds' | 'maxTokens' | 'exit'> &
  Partial<Pick<GenerateSpec, 'emitted' | 'topLogprobs'>>;

/**
 * A worker in this process around `engine`, asked over gRPC. Freed pages are poisoned. Its sequences run here and, where there are `others`,
 * on these: depths are cut over all of them in order, beginning here.
 */
export async function workerAround(engine: Engine, bundle: Bundle, others: readonly WorkerRef[] = []) {
  const running = await serveEngine(engine, {
    bundle,
    listen: address('127.0.0.1:0'),
    poisonFreed: true,
    log: createLog('test', { level: 'silent' }),
    metrics: new Metrics(),
  });
  const client = connectWorker(running.address);
  const ref = { id: workerId(running.workerId), address: running.address };
  const workers = [ref, ...others];
  const stages = splitDepths(bundle.manifest.maxDepth, workers.length).map((depths, index) => ({
    worker: workers[index]!,
    depths,
  }));
  let sequences = 0;
  return {
    ref,
    generate(asked: Asked) {
      const spec: GenerateSpec = {
        emitted: [],
        ...asked,
        sequenceId: sequenceId(`sequence-${++sequences}`),
        route: { epoch: 1, home: ref, stages },
        bundleDigest: bundle.digest,
        stopIds: [],
        sampling: GREEDY,
        promptLogprobs: false,
      };
      return client.generate(spec, new AbortController().signal);
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await running.stop();
    },
  };
}

export type EngineWorker = Awaited<ReturnType<typeof workerAround>>;

/** The likeliest token, with nothing held against any. */
export const GREEDY: GenerateSpec['sampling'] = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
};
