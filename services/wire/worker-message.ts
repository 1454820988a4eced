import { type Address, type WorkerId, workerId } from '@rondo/core';
import { addressField, type Codec, enumField, nonEmpty, present, uint32 } from './fields.ts';
import { messageTypes } from './proto.ts';
import * as pb from './proto-types.ts';

/** What a worker says of itself: who it is, what it holds and how full it is. */
export interface WorkerDescription {
  readonly workerId: WorkerId;
  readonly protocolRevision: number;
  readonly bundleDigest: string;
  readonly bundleName: string;
  /** The execution provider that really ran the warm-up pass. */
  readonly provider: string;
  /** The address that peers should use; absent: the one they dialled. */
  readonly advertisedAddress?: Address | undefined;
  readonly load: Load;
}

export interface Load {
  readonly sequences: number;
  readonly sequencesMax: number;
  /** Positions of full-depth KV that could still be reserved. */
  readonly freePositions: number;
  readonly totalPositions: number;
  /** Moving average of what one run of the block takes, whatever its rows; 0 before the first. */
  readonly stepMs: number;
  /** Moving average of what a frame takes from here to another worker; 0 while none is known. */
  readonly hopMs: number;
}

/** `draining`: takes no new sequence and leaves once it has none. */
export type WorkerState = 'serving' | 'draining';

/** How a worker is right now. */
export interface Pulse {
  readonly state: WorkerState;
  readonly load: Load;
  readonly progress: Progress;
  readonly work: Work;
  /** What its clock says, in milliseconds since 1970; absent where it does not tell. */
  readonly clockMs?: number | undefined;
}

/** What a worker's block has run so far. */
export interface Work {
  /** Modulo 2^32. */
  readonly runs: number;
  /** Rows that ran the pass at each depth, modulo 2^32. */
  readonly depthRows: readonly number[];
}

/** Tells a worker with much to do from one that is stuck. */
export interface Progress {
  /** Runs of the engine that have ended so far, modulo 2³². */
  readonly steps: number;
  /** Since the last of them ended, or the worker began, in milliseconds by the worker's clock. */
  readonly stillMs: number;
  /** How long the run under way has lasted, in milliseconds; 0 while there is none. */
  readonly runningMs: number;
}

const workerState = enumField<WorkerState>('WorkerState', {
  serving: pb.WorkerState.WORKER_STATE_SERVING,
  draining: pb.WorkerState.WORKER_STATE_DRAINING,
});

const loadToProto = (load: Load): pb.Load => ({
  sequences: uint32(load.sequences, 'load.sequences'),
  sequencesMax: uint32(load.sequencesMax, 'load.sequencesMax'),
  freePositions: uint32(load.freePositions, 'load.freePositions'),
  totalPositions: uint32(load.totalPositions, 'load.totalPositions'),
  stepMs: load.stepMs,
  hopMs: load.hopMs,
});

function loadFromProto(message: pb.Load | null | undefined, within: string): Load {
  const { sequences, sequencesMax, freePositions, totalPositions, stepMs, hopMs } = present(
    message,
    within,
    'load',
  );
  return { sequences, sequencesMax, freePositions, totalPositions, stepMs, hopMs };
}

export const describeResponse: Codec<WorkerDescription> = {
  encode: (worker) =>
    messageTypes.describeResponse.encode({
      workerId: worker.workerId,
      protocolRevision: uint32(worker.protocolRevision, 'protocolRevision'),
      bundleDigest: worker.bundleDigest,
      bundleName: worker.bundleName,
      provider: worker.provider,
      advertisedAddress: worker.advertisedAddress ?? '',
      load: loadToProto(worker.load),
    }),
  decode(bytes) {
    const message = messageTypes.describeResponse.decode(bytes);
    const id = workerId(nonEmpty(message.workerId, 'DescribeResponse', 'worker_id'));
    return {
      workerId: id,
      protocolRevision: message.protocolRevision,
      bundleDigest: message.bundleDigest,
      bundleName: message.bundleName,
      provider: message.provider,
      ...(message.advertisedAddress !== '' && {
        advertisedAddress: addressField(message.advertisedAddress, 'DescribeResponse', 'advertised_address'),
      }),
      load: loadFromProto(message.load, 'DescribeResponse'),
    };
  },
};

export const watchResponse: Codec<Pulse> = {
  encode: ({
    state,
    load,
    progress: { steps, stillMs, runningMs },
    work: { runs, depthRows },
    clockMs = 0,
  }) =>
    messageTypes.watchResponse.encode({
      state: workerState.encode(state),
      load: loadToProto(load),
      progress: { steps: uint32(steps, 'progress.steps'), stillMs, runningMs },
      work: {
        runs: uint32(runs, 'work.runs'),
        depthRows: depthRows.map((rows) => uint32(rows, 'work.depthRows')),
      },
      clockMs,
    }),
  decode(bytes) {
    const message = messageTypes.watchResponse.decode(bytes);
    const { steps, stillMs, runningMs } = present(message.progress, 'WatchResponse', 'progress');
    // Only shown to people: a worker that does not tell is no worse for it.
    const { runs = 0, depthRows = [] } = message.work ?? {};
    return {
      state: workerState.decode(message.state),
      load: loadFromProto(message.load, 'WatchResponse'),
      progress: { steps, stillMs, runningMs },
      work: { runs, depthRows },
      ...(message.clockMs !== 0 && { clockMs: message.clockMs }),
    };
  },
};
