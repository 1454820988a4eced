import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes to a gRPC stream no faster than the peer reads: ignoring write()'s answer would let memory grow. */
export class Outflow {
  readonly #stream: Writable;
  readonly #signal: AbortSignal;
  /** Shared by all who wait, so that many waiting senders cost one listener. */
  #drained: Promise<unknown> | undefined;

  /** `signal` must fire when the stream ends for any reason: a dead stream never drains. */
  constructor(stream: Writable, signal: AbortSignal) {
    this.#stream = stream;
    this.#signal = signal;
  }

  /** Resolves when the stream takes more. Rejects with the signal's reason once the stream has ended. */
  async write(bytes: Buffer): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#stream.write(bytes)) return;
    await this.drained();
  }

  /** Resolves at once unless the stream asked to wait. */
  async drained(): Promise<void> {
    if (!this.#stream.writableNeedDrain) return;
    this.#drained ??= once(this.#stream, 'drain', { signal: this.#signal }).finally(() => {
      this.#drained = undefined;
    });
    try {
      await this.#drained;
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    }
  }
}
