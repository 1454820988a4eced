import type { TestContext } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { address, sequenceId, systemClock } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import { Generation } from './generation.ts';
import { GivenWorkers } from './given-workers.ts';
import { Membership } from './membership.ts';
import type { OpeningOptions, OpenSequence } from './opening.ts';
import type { SequenceRequest, WhenFull } from './sequence-life.ts';
import { SequenceMetrics } from './sequence-metrics.ts';
import { TINY, tinyBundle } from './test-bundle.ts';
import { connectTo, type ScriptedWorker } from './test-worker.ts';

/** What the tests of a sequence's life stand on: scripted workers, a membership and a generation over them. */
export const bundle = await tinyBundle();
export const request: SequenceRequest = {
  promptIds: [1, 2, 3],
  maxTokens: 4,
  stopIds: [],
  sampling: {
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    seed: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    logitBias: new Map(),
  },
  exit: { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 4 },
  topLogprobs: undefined,
  promptLogprobs: false,
};

/** What a timeline is told of a sequence that worker `w` took. */
export const OPEN = {
  route: { epoch: 1, home: { id: 'w' }, stages: [] },
  opened: { cachedTokens: 0 },
  openMs: 0,
} as unknown as OpenSequence;

export async function setUp(
  context: TestContext,
  workers: Record<string, ScriptedWorker>,
  {
    workerWaitMs = 5000,
    clock = systemClock,
    ...waits
  }: Partial<Pick<OpeningOptions, 'workerWaitMs' | 'roomWaitMs' | 'openMs' | 'clock'>> = {},
) {
  const metrics = new Metrics();
  const log = createLog('test', { level: 'silent' });
  const membership = new Membership(
    { bundle, connect: connectTo(workers), log, clock },
    bundle.manifest.maxDepth,
  );
  context.after(() => membership.close());
  const addresses = Object.keys(workers).map(address);
  membership.follow(new GivenWorkers(addresses, [bundle.digest]).of(bundle.digest));
  await membership.joined(addresses, 1000);
  const options: OpeningOptions = {
    membership,
    placement: 'homed',
    bundleDigest: bundle.digest,
    kvPolicy: 'last-exited',
    layersAtHome: true,
    maxDepth: bundle.manifest.maxDepth,
    pagePositions: bundle.manifest.pagePositions,
    vocab: TINY.vocab,
    context: TINY.context,
    candidates: bundle.manifest.headCandidates,
    metrics: new SequenceMetrics(metrics),
    clock,
    workerWaitMs,
    ...waits,
  };
  const generation = new Generation(options);
  const never = new AbortController().signal;
  const run = (name: string, signal = never, asked = request, whenFull: WhenFull = 'wait') =>
    generation.run(sequenceId(name), asked, signal, whenFull);
  return { run, generation, membership, metrics, options };
}

/** Of the token events among `events`, in order. */
export const tokenIds = (events: readonly GenerateStreamEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'token' ? [event.id] : []));
