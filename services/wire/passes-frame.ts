import { type ExitRule, LIMITS, RondoError, type Route, type SequenceId, sequenceId } from '@rondo/core';
import { exitFromProto, exitToProto } from './exit-message.ts';
import { malformed, nonEmpty, uint32 } from './fields.ts';
import { chunksFromProto, type MicrobatchChunk, microbatchToProto } from './microbatch.ts';
import { messageTypes } from './proto.ts';
import type * as pb from './proto-types.ts';
import { routeFromProto, routeToProto } from './route-message.ts';
import type { Activations } from './tensor.ts';

/** What the sender of rows says after its hello. */
export type PassesFrame =
  | {
      readonly type: 'open-stage';
      readonly sequenceId: SequenceId;
      readonly route: Route;
      /** Positions to reserve at each depth of the receiver's stages. */
      readonly positions: number;
      /** Rows from `promptRows` on may leave the loop early by this rule. */
      readonly exit: ExitRule;
      readonly promptRows: number;
      /** Whether all prompt rows come home from the last stage; else the last of each chunk stands for all of it. */
      readonly promptStates: boolean;
      /** Whether it gives way to sequences that are not. */
      readonly background: boolean;
      /** Of a request that is sampled. */
      readonly traceparent?: string | undefined;
      /** Whether chunks that go on from there bring the runs of their sequence along. */
      readonly tellRuns?: boolean | undefined;
    }
  | {
      readonly type: 'microbatch';
      readonly chunks: readonly MicrobatchChunk[];
      /** Answered by a pong once its rows are taken in. */
      readonly ping?: boolean;
    }
  | { readonly type: 'close-stage'; readonly sequenceId: SequenceId; readonly epoch: number }
  | { readonly type: 'ping' };

/** What one chunk's header may cost: a sequence id of about 100 characters and seven numbers. */
const CHUNK_HEADER_BYTES = 144;

/** What telling of one run may cost: its numbers, the depths of its step, its share of the names of workers. */
const RUN_BYTES = 128;

const FRAME_BYTES_MAX =
  LIMITS.frameBytes + LIMITS.stepRowsMax * CHUNK_HEADER_BYTES + LIMITS.frameRuns * RUN_BYTES;

const tooLarge = (bytes: number): string | undefined =>
  bytes > FRAME_BYTES_MAX
    ? `frame of ${bytes} bytes, allowed are ${FRAME_BYTES_MAX}: send fewer rows at once`
    : undefined;

function frameToProto(frame: PassesFrame, activations: Activations): pb.PassesRequest {
  switch (frame.type) {
    case 'open-stage': {
      const { sequenceId, route, positions, exit, promptRows, promptStates, background } = frame;
      const { traceparent = '', tellRuns = false } = frame;
      return {
        openStage: {
          sequenceId,
          route: routeToProto(route),
          positions: uint32(positions, 'positions'),
          exit: exitToProto(exit),
          promptRows: uint32(promptRows, 'promptRows'),
          promptStates,
          traceparent,
          tellRuns,
          background,
        },
      };
    }
    case 'microbatch':
      return { microbatch: microbatchToProto(frame, activations) };
    case 'close-stage':
      return { closeStage: { sequenceId: frame.sequenceId, epoch: uint32(frame.epoch, 'epoch') } };
    case 'ping':
      return { ping: {} };
  }
}

function frameFromProto({ openStage, microbatch, closeStage, ping, hello }: pb.PassesRequest): PassesFrame {
  if (microbatch) {
    const chunks = chunksFromProto(microbatch);
    return { type: 'microbatch', chunks, ...(microbatch.ping && { ping: true }) };
  }
  if (openStage) {
    return {
      type: 'open-stage',
      sequenceId: sequenceId(nonEmpty(openStage.sequenceId, 'OpenStage', 'sequence_id')),
      route: routeFromProto(openStage.route, 'OpenStage'),
      positions: openStage.positions,
      exit: exitFromProto(openStage.exit, 'OpenStage'),
      promptRows: openStage.promptRows,
      promptStates: openStage.promptStates,
      ...(openStage.traceparent !== '' && { traceparent: openStage.traceparent }),
      ...(openStage.tellRuns && { tellRuns: true }),
      background: openStage.background,
    };
  }
  if (closeStage) {
    const id = nonEmpty(closeStage.sequenceId, 'CloseStage', 'sequence_id');
    return { type: 'close-stage', sequenceId: sequenceId(id), epoch: closeStage.epoch };
  }
  if (ping) return { type: 'ping' };
  throw malformed('PassesRequest', hello ? 'a second hello' : 'it holds no frame that this process knows');
}

/** Both directions hold a frame to LIMITS.frameBytes of state and a bounded header. */
export const passesFrame = {
  /** States travel as `activations`. */
  encode(frame: PassesFrame, activations: Activations = 'f32'): Buffer {
    const bytes = messageTypes.passesRequest.encode(frameToProto(frame, activations));
    const fault = tooLarge(bytes.length);
    if (fault !== undefined) throw new RondoError('INTERNAL', `passes ${fault}`);
    return bytes;
  },
  decode(bytes: Uint8Array): PassesFrame {
    const fault = tooLarge(bytes.length);
    if (fault !== undefined) throw malformed('PassesRequest', fault);
    return frameFromProto(messageTypes.passesRequest.decode(bytes));
  },
};
