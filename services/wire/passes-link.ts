import type { ClientDuplexStream } from '@grpc/grpc-js';
import { type Address, RondoError } from '@rondo/core';
import { type Hello, helloFrame } from './hello.ts';
import { Outflow } from './outflow.ts';
import { type PassesFrame, passesFrame } from './passes-frame.ts';
import { type PassesReply, passesReply } from './passes-reply.ts';

/** The sending end of a Passes stream. Frames arrive in the order in which they were sent. */
export interface PassesLink {
  /**
   * The caller holds to the rows that `events` grants. Resolves when the stream takes more, at once unless the peer reads slower than we send. The frame is encoded
   * before the call returns: its states may be reused or transferred at once. Rejects with INTERNAL a frame too large
   * or ill-shaped (the link goes on), and with the link's failure once it has failed.
   */
  send(frame: PassesFrame): Promise<void>;
  /**
   * To be iterated once, from the start: replies that nobody takes pile up here. Ends after close(); throws the peer's
   * RondoError, or WORKER_LOST when it vanished. Leaving the loop earlier gives up the whole link.
   */
  readonly events: AsyncIterable<PassesReply>;
  /** No more frames; the peer finishes those it has and ends the stream. */
  close(): void;
}

/** `failure` turns what the stream threw into the RondoError to report. */
export function openPassesLink(
  call: ClientDuplexStream<Buffer, Buffer>,
  hello: Hello,
  peer: Address,
  failure: (thrown: unknown) => RondoError,
): PassesLink {
  const life = new AbortController();
  const outflow = new Outflow(call, life.signal);
  const closedError = () => new RondoError('CANCELLED', `the stream of passes to worker ${peer} is closed`);
  let closed = false;

  async function* replies(): AsyncGenerator<PassesReply> {
    try {
      for await (const bytes of call) yield passesReply.decode(bytes as Buffer);
    } catch (error) {
      throw failure(error);
    } finally {
      // Has no effect after an end or an error, which say more.
      life.abort(closedError());
      call.cancel();
    }
    if (!closed) throw life.signal.reason;
  }

  // Also without anyone iterating `events`: an error event that nobody hears would end the process.
  call.on('error', (error) => life.abort(failure(error)));
  call.on('end', () =>
    life.abort(new RondoError('WORKER_LOST', `worker ${peer} ended the stream of passes`)),
  );
  call.write(helloFrame.encode(hello));
  return {
    async send(frame) {
      if (closed) throw closedError();
      await outflow.write(passesFrame.encode(frame, hello.activations));
    },
    events: replies(),
    close() {
      closed = true;
      call.end();
    },
  };
}
