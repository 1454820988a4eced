import type { Bundle } from '@rondo/bundle';
import { createLog, Metrics } from '@rondo/chassis';
import { address, type GenerateSpec, sequenceId, workerId } from '@rondo/core';
import type { Engine } from '@rondo/engine';
import { connectWorker } from '@rondo/wire';
import { serveEngine } from '@rondo/worker';

/** What a test says of a sequence; the rest is greedy and homed. */
export type Asked = Pick<GenerateSpec, 'promptIds' | 'maxTokens' | 'exit'>;

/** A worker in this process around `engine`, asked over gRPC. Freed pages are poisoned. */
export async function workerAround(engine: Engine, bundle: Bundle) {
  const running = await serveEngine(engine, {
    bundle,
    listen: address('127.0.0.1:0'),
    poisonFreed: true,
    log: createLog('test', { level: 'silent' }),
    metrics: new Metrics(),
  });
  const client = connectWorker(running.address);
  const ref = { id: workerId(running.workerId), address: running.address };
  const stages = [{ worker: ref, depths: { first: 0, end: bundle.manifest.maxDepth } }];
  let sequences = 0;
  return {
    generate(asked: Asked) {
      const spec: GenerateSpec = {
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

const GREEDY: GenerateSpec['sampling'] = {
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
