import {
  type ErrorCode,
  isErrorCode,
  LIMITS,
  RondoError,
  type Route,
  type SequenceId,
  sequenceId,
  type WorkerId,
  workerId,
} from '@rondo/core';
import { type Codec, malformed, nonEmpty, present, uint32 } from './fields.ts';
import { checkRevision } from './messages.ts';
import { messageTypes } from './proto.ts';
import type * as pb from './proto-types.ts';
import { routeFromProto, routeToProto } from './route-message.ts';
import { rowsOfTensor, tensorOfRows } from './tensor.ts';

/** First frame of every Passes stream: who sends rows, and for which model. */
export interface Hello {
  readonly protocolRevision: number;
  readonly bundleDigest: string;
  readonly workerId: WorkerId;
}

/** Consecutive positions of one sequence at one depth. */
export interface MicrobatchChunk {
  readonly sequenceId: SequenceId;
  readonly epoch: number;
  /** Depth of the next pass; maxDepth when the chunk is done and travels home. */
  readonly depth: number;
  /** Position of the first row. */
  readonly start: number;
  readonly rows: number;
  /** [rows·hidden]; a received state owns its memory. */
  readonly state: Float32Array;
}

export type PassesFrame =
  | {
      readonly type: 'open-stage';
      readonly sequenceId: SequenceId;
      readonly route: Route;
      /** Positions to reserve at each depth of the receiver's stages. */
      readonly positions: number;
    }
  | {
      readonly type: 'microbatch';
      readonly chunks: readonly MicrobatchChunk[];
      readonly traceparent?: string | undefined;
    }
  | { readonly type: 'close-stage'; readonly sequenceId: SequenceId; readonly epoch: number };

export type PassesReply =
  | { readonly type: 'stage-opened'; readonly sequenceId: SequenceId; readonly epoch: number }
  | {
      readonly type: 'stage-failed';
      readonly sequenceId: SequenceId;
      readonly epoch: number;
      readonly error: RondoError;
    };

/** What one chunk's header may cost: a sequence id of about 100 characters and four numbers. */
const CHUNK_HEADER_BYTES = 128;

const FRAME_BYTES_MAX = LIMITS.frameBytes + LIMITS.stepRowsMax * CHUNK_HEADER_BYTES;

/** Rows of `hidden` floats that fit one frame, at least 1: longer chunks are cut, more chunks go into the next frame. */
export const rowsPerFrame = (hidden: number): number =>
  Math.max(
    1,
    Math.min(LIMITS.stepRowsMax, Math.floor(LIMITS.frameBytes / (hidden * Float32Array.BYTES_PER_ELEMENT))),
  );

function microbatchToProto(chunks: readonly MicrobatchChunk[], traceparent: string): pb.Microbatch {
  const first = chunks[0];
  if (first === undefined) throw new RondoError('INTERNAL', 'a microbatch needs at least one chunk');
  const hidden = first.state.length / first.rows;
  for (const { rows, state, sequenceId } of chunks) {
    if (rows < 1 || hidden < 1 || !Number.isInteger(hidden) || state.length !== rows * hidden) {
      throw new RondoError(
        'INTERNAL',
        `chunk of ${sequenceId}: ${state.length} floats for ${rows} rows, the first chunk has ${hidden} a row`,
      );
    }
  }
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  return {
    chunkSequenceId: chunks.map((chunk) => chunk.sequenceId),
    chunkEpoch: chunks.map((chunk) => uint32(chunk.epoch, 'epoch')),
    chunkDepth: chunks.map((chunk) => uint32(chunk.depth, 'depth')),
    chunkStart: chunks.map((chunk) => uint32(chunk.start, 'start')),
    chunkRows: chunks.map((chunk) => uint32(chunk.rows, 'rows')),
    state: tensorOfRows(
      chunks.map((chunk) => chunk.state),
      rows,
      hidden,
    ),
    traceparent,
  };
}

function chunksFromProto(message: pb.Microbatch): MicrobatchChunk[] {
  const { chunkSequenceId, chunkEpoch, chunkDepth, chunkStart, chunkRows } = message;
  const count = chunkSequenceId.length;
  if ([chunkEpoch, chunkDepth, chunkStart, chunkRows].some((column) => column.length !== count)) {
    throw malformed('Microbatch', `its chunk_* arrays differ in length (${count} sequence ids)`);
  }
  const state = rowsOfTensor(present(message.state, 'Microbatch', 'state'));
  const rowsAnnounced = chunkRows.reduce((sum, rows) => sum + rows, 0);
  if (count === 0 || chunkRows.includes(0) || state.columns === 0)
    throw malformed('Microbatch', 'a chunk has no rows');
  if (rowsAnnounced !== state.rows) {
    throw malformed('Microbatch', `its chunks have ${rowsAnnounced} rows, its state ${state.rows}`);
  }
  let first = 0;
  return chunkSequenceId.map((id, index) => {
    const rows = chunkRows[index]!;
    const chunk: MicrobatchChunk = {
      sequenceId: sequenceId(nonEmpty(id, 'Microbatch', 'chunk_sequence_id')),
      epoch: chunkEpoch[index]!,
      depth: chunkDepth[index]!,
      start: chunkStart[index]!,
      rows,
      state: state.take(first, rows),
    };
    first += rows;
    return chunk;
  });
}

const tooLarge = (bytes: number): string | undefined =>
  bytes > FRAME_BYTES_MAX
    ? `frame of ${bytes} bytes, allowed are ${FRAME_BYTES_MAX}: send fewer rows at once`
    : undefined;

function frameToProto(frame: PassesFrame): pb.PassesRequest {
  switch (frame.type) {
    case 'open-stage': {
      const { sequenceId, route, positions } = frame;
      return {
        openStage: { sequenceId, route: routeToProto(route), positions: uint32(positions, 'positions') },
      };
    }
    case 'microbatch':
      return { microbatch: microbatchToProto(frame.chunks, frame.traceparent ?? '') };
    case 'close-stage':
      return { closeStage: { sequenceId: frame.sequenceId, epoch: uint32(frame.epoch, 'epoch') } };
  }
}

function frameFromProto({ openStage, microbatch, closeStage, hello }: pb.PassesRequest): PassesFrame {
  if (microbatch) {
    const { traceparent } = microbatch;
    return {
      type: 'microbatch',
      chunks: chunksFromProto(microbatch),
      ...(traceparent !== '' && { traceparent }),
    };
  }
  if (openStage) {
    return {
      type: 'open-stage',
      sequenceId: sequenceId(nonEmpty(openStage.sequenceId, 'OpenStage', 'sequence_id')),
      route: routeFromProto(openStage.route, 'OpenStage'),
      positions: openStage.positions,
    };
  }
  if (closeStage) {
    const id = nonEmpty(closeStage.sequenceId, 'CloseStage', 'sequence_id');
    return { type: 'close-stage', sequenceId: sequenceId(id), epoch: closeStage.epoch };
  }
  throw malformed('PassesRequest', hello ? 'a second hello' : 'it holds no frame that this process knows');
}

export const helloFrame: Codec<Hello> = {
  encode: ({ protocolRevision, bundleDigest, workerId }) =>
    messageTypes.passesRequest.encode({
      hello: { protocolRevision: uint32(protocolRevision, 'protocolRevision'), bundleDigest, workerId },
    }),
  decode(bytes) {
    const hello = present(
      messageTypes.passesRequest.decode(bytes).hello,
      'PassesRequest',
      'the first frame: hello',
    );
    const id = workerId(nonEmpty(hello.workerId, 'Hello', 'worker_id'));
    checkRevision(hello.protocolRevision, `worker ${id}`);
    return { protocolRevision: hello.protocolRevision, bundleDigest: hello.bundleDigest, workerId: id };
  },
};

/** Both directions hold a frame to LIMITS.frameBytes of state and a bounded header. */
export const passesFrame: Codec<PassesFrame> = {
  encode(frame) {
    const bytes = messageTypes.passesRequest.encode(frameToProto(frame));
    const fault = tooLarge(bytes.length);
    if (fault !== undefined) throw new RondoError('INTERNAL', `passes ${fault}`);
    return bytes;
  },
  decode(bytes) {
    const fault = tooLarge(bytes.length);
    if (fault !== undefined) throw malformed('PassesRequest', fault);
    return frameFromProto(messageTypes.passesRequest.decode(bytes));
  },
};

/** A code that only a newer peer knows still fails the sequence. */
const codeOf = (text: string): ErrorCode => (isErrorCode(text) ? text : 'INTERNAL');

export const passesReply: Codec<PassesReply> = {
  encode(reply) {
    const { sequenceId } = reply;
    const epoch = uint32(reply.epoch, 'epoch');
    if (reply.type === 'stage-opened') {
      return messageTypes.passesResponse.encode({ stageOpened: { sequenceId, epoch } });
    }
    const { code, message, param } = reply.error;
    const error = { code, message, param: param ?? '' };
    return messageTypes.passesResponse.encode({ stageFailed: { sequenceId, epoch, error } });
  },
  decode(bytes) {
    const { stageOpened, stageFailed } = messageTypes.passesResponse.decode(bytes);
    if (stageOpened) {
      return {
        type: 'stage-opened',
        sequenceId: sequenceId(stageOpened.sequenceId),
        epoch: stageOpened.epoch,
      };
    }
    if (!stageFailed) throw malformed('PassesResponse', 'it holds no reply that this process knows');
    const { code, message, param } = present(stageFailed.error, 'StageFailed', 'error');
    const error = new RondoError(codeOf(code), message, param === '' ? {} : { param });
    return {
      type: 'stage-failed',
      sequenceId: sequenceId(stageFailed.sequenceId),
      epoch: stageFailed.epoch,
      error,
    };
  },
};
