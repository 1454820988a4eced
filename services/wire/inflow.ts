import type { Readable } from 'node:stream';

/** Messages that may wait before the stream is asked to wait too. */
const WAITING_MAX = 16;

/**
 * The messages of a gRPC stream in order, for one reader. The stream's own iterator does the same with more promises and
 * calls, which a token a message pays for each token.
 */
export class Inflow implements AsyncIterableIterator<Buffer, undefined> {
  readonly #stream: Readable;
  #waiting: Buffer[] = [];
  #read = 0;
  #end: { readonly error?: Error } | undefined;
  #reader: PromiseWithResolvers<IteratorResult<Buffer, undefined>> | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => this.#arrived(bytes));
    stream.on('end', () => this.#ended({}));
    stream.on('error', (error: Error) => this.#ended({ error }));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next message; what arrived before the stream failed comes before its error. One call at a time. */
  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#read < this.#waiting.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#end?.error) return Promise.reject(this.#end.error);
    if (this.#end) return Promise.resolve(END);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  #take(): Buffer {
    const bytes = this.#waiting[this.#read++]!;
    if (this.#read === this.#waiting.length) {
      this.#waiting = [];
      this.#read = 0;
      if (this.#stream.isPaused()) this.#stream.resume();
    }
    return bytes;
  }

  #arrived(bytes: Buffer): void {
    if (this.#reader) {
      this.#reader.resolve({ done: false, value: bytes });
      this.#reader = undefined;
      return;
    }
    this.#waiting.push(bytes);
    if (this.#waiting.length - this.#read >= WAITING_MAX) this.#stream.pause();
  }

  #ended(end: { readonly error?: Error }): void {
    if (this.#end) return;
    this.#end = end;
    if (end.error) this.#reader?.reject(end.error);
    else this.#reader?.resolve(END);
    this.#reader = undefined;
  }
}

const END = { done: true, value: undefined } as const;
