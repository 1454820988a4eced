import { type ErrorCode, isErrorCode, RondoError, type SequenceId, sequenceId } from '@rondo/core';
import { type Codec, malformed, present, uint32 } from './fields.ts';
import { messageTypes } from './proto.ts';

/** What the receiver of rows says to their sender. */
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
