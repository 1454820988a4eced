import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { RondoError } from '@rondo/core';
import { Outflow } from './outflow.ts';
import { toStatus } from './status.ts';

type ServerStream = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** One streaming call on the server: it ends exactly once, and its signal fires when it ends before its work does. */
export class ServedCall {
  readonly #stream: ServerStream;
  readonly #life = new AbortController();
  readonly outflow: Outflow;
  #ended = false;
  #callerGone = false;

  constructor(stream: ServerStream) {
    this.#stream = stream;
    this.outflow = new Outflow(stream, this.signal);
    stream.on('cancelled', () => {
      this.#ended = true;
      this.#callerGone = true;
      this.#life.abort(
        new RondoError('CANCELLED', 'the caller cancelled the call or its connection was lost'),
      );
    });
  }

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  /** The caller has its status, or is gone: nothing more can be written. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The caller cancelled, or its connection was lost. A reset may show in the stream's end before it shows here. */
  get callerGone(): boolean {
    return this.#callerGone;
  }

  finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
  }

  /** Tells the caller why, at once, and the handler through the signal. */
  fail(error: RondoError): void {
    if (this.#ended) return;
    this.#ended = true;
    // grpc-js sends an emitted error as the call's status; pending reads of the stream fail with it too.
    this.#stream.emit('error', toStatus(error));
    this.#life.abort(error);
  }
}
