import { LIMITS, type WorkerId, workerId } from '@rondo/core';
import { type Codec, malformed, nonEmpty, present, uint32 } from './fields.ts';
import { messageTypes } from './proto.ts';
import { checkRevision } from './protocol-revision.ts';
import { type Activations, activationsOf, dataTypeOf } from './tensor.ts';

/** First frame of every Passes stream: who sends rows, and for which model. */
export interface Hello {
  readonly protocolRevision: number;
  readonly bundleDigest: string;
  readonly workerId: WorkerId;
  /** Of every state that travels between two workers. */
  readonly activations: Activations;
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
