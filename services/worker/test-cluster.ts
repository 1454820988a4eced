import { createLog, Metrics } from '@rondo/chassis';
import {
  type Address,
  address,
  type DepthRange,
  type GenerateEvent,
  type GenerateSpec,
  type Route,
  sequenceId,
  splitDepths,
  type WorkerRef,
  workerId,
} from '@rondo/core';
import type { PoolSizes } from '@rondo/engine';
import { type Activations, connectWorker, type WorkerClient } from '@rondo/wire';
import type { RunningWorker } from './running-worker.ts';
import type { StepPolicy } from './step-policy.ts';
import { TestEngine } from './test-engine.ts';
import { type Expected, type TestShape, testBundle } from './test-model.ts';
import { serveEngine } from './worker.ts';

export interface TestWorker {
  readonly engine: TestEngine;
  readonly running: RunningWorker;
  readonly client: WorkerClient;
  readonly ref: WorkerRef;
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

const LOG = createLog('test', { level: 'silent' });

/** A worker on loopback with the test model behind it. */
export async function startTestWorker(
  shape: TestShape,
  options: {
    pools?: Partial<PoolSizes>;
    /** States that stay in the engine; by default none. */
    stateSlots?: number;
    digest?: string;
    name?: string;
    prefixCache?: boolean;
    policy?: StepPolicy;
    activations?: Activations;
    drainMs?: number;
  } = {},
): Promise<TestWorker> {
  const engine = new TestEngine(shape, options.pools, options.stateSlots);
  const metrics = new Metrics();
  const running = await serveEngine(engine, {
    bundle: testBundle(shape, options.digest),
    poisonFreed: true,
    listen: address('127.0.0.1:0'),
    workerId: options.name,
    prefixCache: options.prefixCache,
    policy: options.policy,
    activations: options.activations,
    drainMs: options.drainMs,
    log: LOG,
    metrics,
  });
  const client = connectWorker(running.address);
  return {
    engine,
    running,
    client,
    metrics,
    ref: { id: workerId(running.workerId), address: running.address as Address },
    async stop() {
      client.close();
      await running.stop();
    },
  };
}

/** All passes on one worker. */
export const homedRoute = (worker: TestWorker, maxDepth: number, epoch = 1): Route => ({
  epoch,
  home: worker.ref,
  stages: [{ worker: worker.ref, depths: { first: 0, end: maxDepth } }],
});

/** Home on the first worker, the depths cut over all of them in order. */
export function stagedRoute(workers: readonly TestWorker[], maxDepth: number, epoch = 1): Route {
  const depths: DepthRange[] = splitDepths(maxDepth, workers.length);
  return {
    epoch,
    home: workers[0]!.ref,
    stages: depths.map((range, index) => ({ worker: workers[index]!.ref, depths: range })),
  };
}

let sequences = 0;

export const testSpec = (route: Route, change: Partial<GenerateSpec> = {}): GenerateSpec => ({
  sequenceId: sequenceId(`sequence-${++sequences}`),
  route,
  bundleDigest: 'd'.repeat(64),
  promptIds: [1, 2, 3],
  emitted: [],
  maxTokens: 8,
  stopIds: [],
  sampling: {
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    seed: 7,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    logitBias: new Map(),
  },
  exit: { policy: 'none', threshold: 0, minDepth: 1, maxDepth: route.stages.at(-1)!.depths.end },
  promptLogprobs: false,
  ...change,
});

export interface Outcome extends Expected {
  readonly promptPasses: number;
  readonly generatedPasses: number;
  readonly cachedTokens: number;
}

/** Runs a sequence to its end over gRPC and gathers what it said. */
export async function generate(
  worker: TestWorker,
  spec: GenerateSpec,
  signal = new AbortController().signal,
): Promise<Outcome> {
  const events: GenerateEvent[] = [];
  let cachedTokens = 0;
  for await (const event of worker.client.generate(spec, signal)) {
    if (event.type === 'opened') ({ cachedTokens } = event);
    else events.push(event);
  }
  const tokens = events.filter((event) => event.type === 'token');
  const finished = events.at(-1);
  if (finished?.type !== 'finished') throw new Error('the stream ended without a finish');
  return {
    ids: tokens.map((token) => token.id),
    logprobs: tokens.map((token) => token.logprob),
    passes: tokens.map((token) => token.passes),
    promptLogprobs: events
      .filter((event) => event.type === 'prompt-logprobs')
      .flatMap((event) => event.tokens.map((token) => token.logprob)),
    reason: finished.reason,
    promptPasses: finished.promptPasses,
    generatedPasses: finished.generatedPasses,
    cachedTokens,
  };
}

/** Waits, turn by turn of the event loop, until no sequence is on the worker; tells its load then. */
export async function whenEmpty(worker: TestWorker) {
  for (;;) {
    const { load } = await worker.client.describe();
    if (load.sequences === 0 && load.freePositions === load.totalPositions) return load;
  }
}
