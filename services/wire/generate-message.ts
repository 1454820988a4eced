import { type FinishReason, type GenerateEvent, type GenerateSpec, sequenceId } from '@rondo/core';
import { exitFromProto, exitToProto } from './exit-message.ts';
import { type Codec, enumField, malformed, nonEmpty, present, uint32 } from './fields.ts';
import { messageTypes } from './proto.ts';
import * as pb from './proto-types.ts';
import { checkRevision, PROTOCOL_REVISION } from './protocol-revision.ts';
import { routeFromProto, routeToProto } from './route-message.ts';
import { runsFromProto, runsToProto } from './runs-message.ts';

/** Pages are reserved on every worker of the route: the first event of every accepted sequence. */
export interface OpenedEvent {
  readonly type: 'opened';
  readonly epoch: number;
  /** Tokens of the prompt whose rows need not run: their K and V were in the prefix cache. */
  readonly cachedTokens: number;
}

export type GenerateStreamEvent = GenerateEvent | OpenedEvent;

const finishReason = enumField<FinishReason>('FinishReason', {
  stop: pb.FinishReason.FINISH_REASON_STOP,
  length: pb.FinishReason.FINISH_REASON_LENGTH,
});

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
