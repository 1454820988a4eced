import {
  type ErrorCode,
  type ExitRule,
  isErrorCode,
  LIMITS,
  RondoError,
  type Route,
  type SequenceId,
  sequenceId,
  type WorkerId,
  workerId,
} from '@rondo/core';
import { exitFromProto, exitToProto } from './exit-message.ts';
import { type Codec, enumField, malformed, nonEmpty, present, uint32 } from './fields.ts';
import { checkRevision } from './messages.ts';
import { messageTypes } from './proto.ts';
import * as pb from './proto-types.ts';
import { routeFromProto, routeToProto } from './route-message.ts';
import {
  type Activations,
  activationsOf,
  bytesPerFloat,
  dataTypeOf,
  rowsOfTensor,
  tensorOfRows,
} from './tensor.ts';

/** First frame of every Passes stream: who sends rows, and for which model. */
export interface Hello {
  readonly protocolRevision: number;
  readonly bundleDigest: string;
  readonly workerId: WorkerId;
  /** Of every state that travels between two workers. */
  readonly activations: Activations;
}

/**
 * What is to become of rows that arrive. `live`: their passes run; at maxDepth they are done and travel home. `exited`: they left the
 * loop and travel home. `skipped`: they left it before, only their K and V are projected (kvPolicy propagate). `owed`: their
 * tokens are out, their passes run when there is time (kvPolicy catch-up).
 */
export type ChunkKind = 'live' | 'exited' | 'skipped' | 'owed';

/** Consecutive positions of one sequence at one depth. */
export interface MicrobatchChunk {
  readonly sequenceId: SequenceId;
  readonly epoch: number;
  readonly kind: ChunkKind;
  /** Depth of the next pass, which is the number of passes spent. */
  readonly depth: number;
  /** Position of the first row. */
  readonly start: number;
  readonly rows: number;
  /** Rows of the same chunk that follow in the next frames: it is whole when none does. */
  readonly rest: number;
  /** ∏(1 − λ) over the passes spent. */
  readonly survival: number;
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
      /** Rows from `promptRows` on may leave the loop early by this rule. */
      readonly exit: ExitRule;
      readonly promptRows: number;
    }
  | {
      readonly type: 'microbatch';
      readonly chunks: readonly MicrobatchChunk[];
      readonly traceparent?: string | undefined;
    }
  | { readonly type: 'close-stage'; readonly sequenceId: SequenceId; readonly epoch: number }
  | { readonly type: 'ping' };

export type PassesReply =
  /** So many more rows may be sent. */
  | { readonly type: 'credit'; readonly rows: number }
  /** Answers a ping; in their order. */
  | { readonly type: 'pong' }
  | { readonly type: 'stage-opened'; readonly sequenceId: SequenceId; readonly epoch: number }
  | {
      readonly type: 'stage-failed';
      readonly sequenceId: SequenceId;
      readonly epoch: number;
      readonly error: RondoError;
    };

/** What one chunk's header may cost: a sequence id of about 100 characters and seven numbers. */
const CHUNK_HEADER_BYTES = 144;

const FRAME_BYTES_MAX = LIMITS.frameBytes + LIMITS.stepRowsMax * CHUNK_HEADER_BYTES;

/** Rows of `hidden` floats that fit one frame, at least 1: longer chunks are cut, more chunks go into the next frame. */
export const rowsPerFrame = (hidden: number, activations: Activations = 'f32'): number =>
  Math.max(
    1,
    Math.min(LIMITS.stepRowsMax, Math.floor(LIMITS.frameBytes / (hidden * bytesPerFloat(activations)))),
  );

const chunkKind = enumField<ChunkKind>('ChunkKind', {
  live: pb.ChunkKind.CHUNK_KIND_LIVE,
  exited: pb.ChunkKind.CHUNK_KIND_EXITED,
  skipped: pb.ChunkKind.CHUNK_KIND_SKIPPED,
  owed: pb.ChunkKind.CHUNK_KIND_OWED,
});

function microbatchToProto(
  chunks: readonly MicrobatchChunk[],
  traceparent: string,
  activations: Activations,
): pb.Microbatch {
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
      activations,
    ),
    traceparent,
    chunkKind: chunks.map((chunk) => chunkKind.encode(chunk.kind)),
    chunkSurvival: chunks.map((chunk) => chunk.survival),
    chunkRest: chunks.map((chunk) => uint32(chunk.rest, 'rest')),
  };
}

function chunksFromProto(message: pb.Microbatch): MicrobatchChunk[] {
  const { chunkSequenceId, chunkEpoch, chunkDepth, chunkStart, chunkRows } = message;
  const count = chunkSequenceId.length;
  const columns = [chunkEpoch, chunkDepth, chunkStart, chunkRows, message.chunkKind];
  columns.push(message.chunkSurvival, message.chunkRest);
  if (columns.some((column) => column.length !== count)) {
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
      kind: chunkKind.decode(message.chunkKind[index]!),
      depth: chunkDepth[index]!,
      start: chunkStart[index]!,
      rows,
      rest: message.chunkRest[index]!,
      survival: message.chunkSurvival[index]!,
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

function frameToProto(frame: PassesFrame, activations: Activations): pb.PassesRequest {
  switch (frame.type) {
    case 'open-stage': {
      const { sequenceId, route, positions, exit, promptRows } = frame;
      return {
        openStage: {
          sequenceId,
          route: routeToProto(route),
          positions: uint32(positions, 'positions'),
          exit: exitToProto(exit),
          promptRows: uint32(promptRows, 'promptRows'),
        },
      };
    }
    case 'microbatch':
      return { microbatch: microbatchToProto(frame.chunks, frame.traceparent ?? '', activations) };
    case 'close-stage':
      return { closeStage: { sequenceId: frame.sequenceId, epoch: uint32(frame.epoch, 'epoch') } };
    case 'ping':
      return { ping: {} };
  }
}

function frameFromProto({ openStage, microbatch, closeStage, ping, hello }: pb.PassesRequest): PassesFrame {
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
      exit: exitFromProto(openStage.exit, 'OpenStage'),
      promptRows: openStage.promptRows,
    };
  }
  if (closeStage) {
    const id = nonEmpty(closeStage.sequenceId, 'CloseStage', 'sequence_id');
    return { type: 'close-stage', sequenceId: sequenceId(id), epoch: closeStage.epoch };
  }
  if (ping) return { type: 'ping' };
  throw malformed('PassesRequest', hello ? 'a second hello' : 'it holds no frame that this process knows');
}

export const helloFrame: Codec<Hello> = {
  encode: ({ protocolRevision, bundleDigest, workerId, activations }) =>
    messageTypes.passesRequest.encode({
      hello: {
        protocolRevision: uint32(protocolRevision, 'protocolRevision'),
        bundleDigest,
        workerId,
        activations: dataTypeOf(activations),
      },
    }),
  decode(bytes) {
    if (bytes.length > LIMITS.helloBytes) {
      throw malformed('PassesRequest', `a hello of ${bytes.length} bytes, allowed are ${LIMITS.helloBytes}`);
    }
    const hello = present(
      messageTypes.passesRequest.decode(bytes).hello,
      'PassesRequest',
      'the first frame: hello',
    );
    const id = workerId(nonEmpty(hello.workerId, 'Hello', 'worker_id'));
    checkRevision(hello.protocolRevision, `worker ${id}`);
    const activations = activationsOf(hello.activations, 'Hello');
    const { protocolRevision, bundleDigest } = hello;
    return { protocolRevision, bundleDigest, workerId: id, activations };
  },
};

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

/** A code that only a newer peer knows still fails the sequence. */
const codeOf = (text: string): ErrorCode => (isErrorCode(text) ? text : 'INTERNAL');

export const passesReply: Codec<PassesReply> = {
  encode(reply) {
    if (reply.type === 'credit')
      return messageTypes.passesResponse.encode({ credit: { rows: uint32(reply.rows, 'rows') } });
    if (reply.type === 'pong') return messageTypes.passesResponse.encode({ pong: {} });
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
    const { stageOpened, stageFailed, credit, pong } = messageTypes.passesResponse.decode(bytes);
    if (credit) return { type: 'credit', rows: credit.rows };
    if (pong) return { type: 'pong' };
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
