import {
  type Address,
  address,
  type FinishReason,
  type GenerateEvent,
  type GenerateSpec,
  RondoError,
  sequenceId,
  type WorkerId,
  workerId,
} from '@rondo/core';
import { exitFromProto, exitToProto } from './exit-message.ts';
import { type Codec, enumField, malformed, nonEmpty, present, uint32 } from './fields.ts';
import { messageTypes, PROTOCOL_REVISION } from './proto.ts';
import * as pb from './proto-types.ts';
import { routeFromProto, routeToProto } from './route-message.ts';
import { runsFromProto, runsToProto } from './runs-message.ts';

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

/** Pages are reserved on every worker of the route: the first event of every accepted sequence. */
export interface OpenedEvent {
  readonly type: 'opened';
  readonly epoch: number;
  /** Tokens of the prompt whose rows need not run: their K and V were in the prefix cache. */
  readonly cachedTokens: number;
}

export type GenerateStreamEvent = GenerateEvent | OpenedEvent;

/** Throws PROTOCOL_MISMATCH unless the peer speaks our revision. */
export function checkRevision(revision: number, peer: string): void {
  if (revision === PROTOCOL_REVISION) return;
  throw new RondoError(
    'PROTOCOL_MISMATCH',
    `${peer} speaks protocol revision ${revision}, this process ${PROTOCOL_REVISION}: run the same Rondo version on both`,
  );
}

const finishReason = enumField<FinishReason>('FinishReason', {
  stop: pb.FinishReason.FINISH_REASON_STOP,
  length: pb.FinishReason.FINISH_REASON_LENGTH,
});

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
      ...(message.advertisedAddress !== '' && { advertisedAddress: address(message.advertisedAddress) }),
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

function samplingFromProto(message: pb.Sampling): GenerateSpec['sampling'] {
  const { logitBiasId: ids, logitBiasValue: values } = message;
  if (ids.length !== values.length) {
    throw malformed('Sampling', `${ids.length} logit_bias_id but ${values.length} logit_bias_value`);
  }
  return {
    temperature: message.temperature,
    topP: message.topP,
    topK: message.topK,
    minP: message.minP,
    seed: message.seed,
    presencePenalty: message.presencePenalty,
    frequencyPenalty: message.frequencyPenalty,
    repetitionPenalty: message.repetitionPenalty,
    logitBias: new Map(ids.map((id, index) => [id, values[index]!])),
  };
}

export const generateRequest: Codec<GenerateSpec> = {
  encode({ sampling, exit, ...spec }) {
    return messageTypes.generateRequest.encode({
      sequenceId: spec.sequenceId,
      route: routeToProto(spec.route),
      bundleDigest: spec.bundleDigest,
      protocolRevision: PROTOCOL_REVISION,
      promptIds: spec.promptIds.map((id) => uint32(id, 'promptIds')),
      emitted: spec.emitted.map(({ id, passes }) => ({ id: uint32(id, 'emitted'), passes })),
      maxTokens: uint32(spec.maxTokens, 'maxTokens'),
      stopIds: spec.stopIds.map((id) => uint32(id, 'stopIds')),
      sampling: {
        temperature: sampling.temperature,
        topP: sampling.topP,
        topK: uint32(sampling.topK, 'topK'),
        minP: sampling.minP,
        seed: uint32(sampling.seed, 'seed'),
        presencePenalty: sampling.presencePenalty,
        frequencyPenalty: sampling.frequencyPenalty,
        repetitionPenalty: sampling.repetitionPenalty,
        logitBiasId: [...sampling.logitBias.keys()].map((id) => uint32(id, 'logitBias')),
        logitBiasValue: [...sampling.logitBias.values()],
      },
      exit: exitToProto(exit),
      topLogprobs: spec.topLogprobs === undefined ? null : uint32(spec.topLogprobs, 'topLogprobs'),
      promptLogprobs: spec.promptLogprobs,
      background: spec.background ?? false,
      traceparent: spec.traceparent ?? '',
      tellRuns: spec.tellRuns ?? false,
    });
  },
  decode(bytes) {
    const message = messageTypes.generateRequest.decode(bytes);
    checkRevision(message.protocolRevision, 'the caller');
    if (message.promptIds.length === 0) throw malformed('GenerateRequest', 'prompt_ids is empty');
    return {
      sequenceId: sequenceId(nonEmpty(message.sequenceId, 'GenerateRequest', 'sequence_id')),
      route: routeFromProto(message.route, 'GenerateRequest'),
      bundleDigest: message.bundleDigest,
      promptIds: message.promptIds,
      emitted: message.emitted.map(({ id, passes }) => ({ id, passes })),
      maxTokens: message.maxTokens,
      stopIds: message.stopIds,
      sampling: samplingFromProto(present(message.sampling, 'GenerateRequest', 'sampling')),
      exit: exitFromProto(message.exit, 'GenerateRequest'),
      ...(typeof message.topLogprobs === 'number' && { topLogprobs: message.topLogprobs }),
      promptLogprobs: message.promptLogprobs,
      ...(message.background && { background: true }),
      ...(message.traceparent !== '' && { traceparent: message.traceparent }),
      ...(message.tellRuns && { tellRuns: true }),
    };
  },
};

const topOf = (top: readonly pb.TokenLogprob[]) => top.map(({ id, logprob }) => ({ id, logprob }));

function eventToProto(event: GenerateStreamEvent): Omit<pb.GenerateResponse, 'epoch'> {
  switch (event.type) {
    case 'opened':
      return { opened: { cachedTokens: uint32(event.cachedTokens, 'cachedTokens') } };
    case 'prompt-logprobs': {
      const tokens = event.tokens.map(({ id, logprob, top }) => ({ id, logprob, top: [...top] }));
      return { promptLogprobs: { first: event.first, tokens } };
    }
    case 'token': {
      const { index, id, logprob, top, passes } = event;
      return { token: { index, id, logprob, top: [...top], passes } };
    }
    case 'runs':
      return { runs: runsToProto(event) };
    case 'finished': {
      const { promptPasses, generatedPasses } = event;
      return { finished: { reason: finishReason.encode(event.reason), promptPasses, generatedPasses } };
    }
  }
}

function eventFromProto(message: pb.GenerateResponse): GenerateStreamEvent {
  const { epoch, token, finished, promptLogprobs } = message;
  if (token) {
    const { index, id, logprob, passes } = token;
    return { type: 'token', epoch, index, id, logprob, top: topOf(token.top), passes };
  }
  if (finished) {
    const { promptPasses, generatedPasses } = finished;
    return {
      type: 'finished',
      epoch,
      reason: finishReason.decode(finished.reason),
      promptPasses,
      generatedPasses,
    };
  }
  if (promptLogprobs) {
    const tokens = promptLogprobs.tokens.map(({ id, logprob, top }) => ({ id, logprob, top: topOf(top) }));
    return { type: 'prompt-logprobs', epoch, first: promptLogprobs.first, tokens };
  }
  if (message.runs) return { type: 'runs', epoch, ...runsFromProto(message.runs) };
  if (message.opened) return { type: 'opened', epoch, cachedTokens: message.opened.cachedTokens };
  throw malformed('GenerateResponse', 'it holds no event that this process knows');
}

export const generateResponse: Codec<GenerateStreamEvent> = {
  encode: (event) =>
    messageTypes.generateResponse.encode({ epoch: uint32(event.epoch, 'epoch'), ...eventToProto(event) }),
  decode: (bytes) => eventFromProto(messageTypes.generateResponse.decode(bytes)),
};
