import type { Readable } from 'node:stream';

/** Messages that may wait before the stream is asked to wait too. */
const WAITING_MAX = 16;

/** A gRPC call whose answer is a stream of messages. */
export interface StreamCall extends Readable {
  cancel(): void;
}

/** What a reader's call is about. */
export interface InflowHooks<T> {
  /** Makes the call. @throws what the reader is told instead. */
  begin(): StreamCall;
  decode(bytes: Buffer): T;
  /** Whether nothing comes after this message. */
  isLast(message: T): boolean;
  /** What the reader is told when the call fails, or, without `error`, when it ends before its last message. */
  failure(error?: unknown): Error;
  /** Cancels the call: then nothing surfaces any more, not even what has arrived. */
  readonly signal: AbortSignal;
}

const END = { done: true, value: undefined } as const;

/**
 * The messages of one gRPC call in order, for one reader. The call begins with the first `next()`; a reader that leaves
 * before the last message cancels it. Written out where a generator around the stream's own iterator would do: that makes
 * several promises of each message, and each token is one.
 */
export class Inflow<T> implements AsyncIterableIterator<T, undefined> {
  readonly #hooks: InflowHooks<T>;
  #call: StreamCall | undefined;
  #waiting: T[] = [];
  #read = 0;
  /** How it ended: well without an error, else with what the reader is told. */
  #end: { readonly error?: Error } | undefined;
  #reader: PromiseWithResolvers<IteratorResult<T, undefined>> | undefined;
  readonly #cancel = () => {
    this.#cancelled = true;
    this.#drop();
    // The reader is told when the call has ended with it: who begins the next call begins it where this one is known to be gone.
    this.#call?.cancel();
    // Where the status is there already cancelling does nothing: the end stands behind messages that nobody takes any more.
    this.#call?.resume();
  };
  #cancelled = false;

  constructor(hooks: InflowHooks<T>) {
    this.#hooks = hooks;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next message; what arrived before the call failed comes before its error. One call at a time. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#call === undefined && this.#end === undefined) this.#begin();
    if (this.#read < this.#waiting.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#end?.error) return Promise.reject(this.#end.error);
    if (this.#end) return Promise.resolve(END);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** The reader leaves. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#drop();
    // Of a call that has said its last only the status is to come; cancelling it would look like a client that went away.
    if (this.#end && !this.#end.error) this.#call?.resume();
    else this.#call?.cancel();
    this.#finish({});
    return Promise.resolve(END);
  }

  #begin(): void {
    const { begin, signal } = this.#hooks;
    try {
      this.#call = begin();
    } catch (error) {
      this.#finish({ error: error as Error });
      return;
    }
    this.#call.on('data', (bytes: Buffer) => this.#arrived(bytes));
    this.#call.on('end', () => this.#fail());
    // Also after the end: nobody else hears it, and the process would end.
    this.#call.on('error', (error: Error) => this.#fail(error));
    signal.addEventListener('abort', this.#cancel, { once: true });
  }

  #arrived(bytes: Buffer): void {
    if (this.#end || this.#cancelled) return;
    const { decode, isLast } = this.#hooks;
    let message: T;
    try {
      message = decode(bytes);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#reader) {
      this.#reader.resolve({ done: false, value: message });
      this.#reader = undefined;
    } else {
      this.#waiting.push(message);
      if (this.#waiting.length - this.#read >= WAITING_MAX) this.#call?.pause();
    }
    if (isLast(message)) this.#finish({});
  }

  #take(): T {
    const message = this.#waiting[this.#read++]!;
    if (this.#read === this.#waiting.length) {
      this.#drop();
      if (this.#call?.isPaused()) this.#call.resume();
    }
    return message;
  }

  #drop(): void {
    this.#waiting = [];
    this.#read = 0;
  }

  #fail(error?: unknown): void {
    if (this.#end) return;
    this.#finish({ error: this.#hooks.failure(error) });
    this.#call?.cancel();
  }

  #finish(end: { readonly error?: Error }): void {
    if (this.#end) return;
    this.#end = end;
    this.#hooks.signal.removeEventListener('abort', this.#cancel);
    if (end.error) this.#reader?.reject(end.error);
    else this.#reader?.resolve(END);
    this.#reader = undefined;
  }
}
