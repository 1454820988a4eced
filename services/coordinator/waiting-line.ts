import { RondoError } from '@rondo/core';

/** First come, first served, but for those who go first: only the one in front may act, the others wait for it to leave. */
export class WaitingLine {
  readonly #line: { readonly reachedFront: () => void; readonly first: boolean }[] = [];

  get length(): number {
    return this.#line.length;
  }

  /**
   * Waits to be in front, runs `turn`, leaves. With `first` only those who go first, too, and the one in front stay before it.
   * @throws RondoError CANCELLED when `signal` is raised while waiting.
   */
  async takeTurn<T>(signal: AbortSignal, turn: () => Promise<T>, first = false): Promise<T> {
    const front = Promise.withResolvers<void>();
    const place = { reachedFront: front.resolve, first };
    const behind = first ? this.#line.findIndex((other, index) => index > 0 && !other.first) : -1;
    this.#line.splice(behind === -1 ? this.#line.length : behind, 0, place);
    try {
      if (this.#line[0] !== place) await unlessAborted(front.promise, signal);
      return await turn();
    } finally {
      this.#line.splice(this.#line.indexOf(place), 1);
      this.#line[0]?.reachedFront();
    }
  }
}

/** `promise`, or CANCELLED as soon as `signal` is raised. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(new RondoError('CANCELLED', 'the request was cancelled'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
