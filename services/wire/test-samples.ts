import { address, type GenerateSpec, type Route, type RunRecord, sequenceId, workerId } from '@rondo/core';
import type { Hello } from './hello.ts';
import { PROTOCOL_REVISION } from './protocol-revision.ts';
import { connectWorker, type WorkerClient } from './worker-client.ts';
import type { Progress, Work, WorkerDescription } from './worker-message.ts';
import { serveWorker, type WorkerHandlers, type WorkerServer } from './worker-server.ts';

const here = { id: workerId('w-1'), address: address('127.0.0.1:7001') };
const there = { id: workerId('w-2'), address: address('127.0.0.1:7002') };

export const route: Route = {
  epoch: 3,
  home: here,
  stages: [
    { worker: here, depths: { first: 0, end: 2 } },
    { worker: there, depths: { first: 2, end: 4 } },
  ],
};

export const spec: GenerateSpec = {
  sequenceId: sequenceId('seq-1'),
  route,
  bundleDigest: 'sha256:abc',
  promptIds: [1, 0, 4294967295],
  emitted: [
    { id: 0, passes: 4 },
    { id: 4294967295, passes: 1 },
  ],
  maxTokens: 16,
  stopIds: [2],
  sampling: {
    temperature: 0.7,
    topP: 0.9,
    topK: 40,
    minP: 0.05,
    seed: 4294967295,
    presencePenalty: -0.5,
    frequencyPenalty: 0.25,
    repetitionPenalty: 1.1,
    logitBias: new Map([
      [7, -100],
      [9, 2.5],
    ]),
  },
  exit: { policy: 'latent-diff', threshold: 0.01, minDepth: 1, maxDepth: 4 },
  topLogprobs: 0,
  promptLogprobs: true,
  background: true,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};

const pass: RunRecord = {
  phase: 'block',
  start: 3,
  rows: 1,
  depth: 2,
  worker: here.id,
  step: 4294967295,
  stepRows: 5,
  stepDepths: [0, 2],
  readyMs: 1_764_258_000_123.5,
  waitMs: 0.25,
  runMs: 4.5,
  exited: true,
  signal: 0.875,
};

const { signal: _, ...unasked } = pass;

export const runs: readonly RunRecord[] = [
  { ...unasked, phase: 'prelude', depth: 0, stepDepths: [], exited: false },
  pass,
  { ...unasked, worker: there.id, exited: false },
];

export const description: WorkerDescription = {
  workerId: here.id,
  protocolRevision: PROTOCOL_REVISION,
  bundleDigest: 'sha256:abc',
  bundleName: 'tiny',
  provider: 'cpu',
  advertisedAddress: there.address,
  load: {
    sequences: 1,
    sequencesMax: 256,
    freePositions: 1000,
    totalPositions: 4096,
    stepMs: 7.5,
    hopMs: 0.25,
  },
};

export const progress: Progress = { steps: 4294967295, stillMs: 12.5, runningMs: 3.25 };

export const work: Work = { runs: 7, depthRows: [4294967295, 3] };

export const hello: Hello = {
  protocolRevision: PROTOCOL_REVISION,
  bundleDigest: 'sha256:abc',
  workerId: there.id,
  activations: 'f32',
};

const noHandlers: WorkerHandlers = {
  describe: () => description,
  async *watch() {},
  async *generate() {},
  async passes(_hello, frames) {
    for await (const _ of frames);
  },
};

/** A worker server on a free port of loopback and a client of it; both close at the end of the scope. */
export async function startPair(handlers: Partial<WorkerHandlers>): Promise<{
  readonly server: WorkerServer;
  readonly client: WorkerClient;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const server = await serveWorker(address('127.0.0.1:0'), { ...noHandlers, ...handlers });
  const client = connectWorker(server.address);
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.close({ graceMs: 0 });
    },
  };
}
