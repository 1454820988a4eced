import { RondoError } from '@rondo/core';

/** First come, first served: only the one in front may act, the others wait for it to leave. */
export class WaitingLine {
  readonly #line: { readonly reachedFront: () => void }[] = [];

  get length(): number {
    return this.#line.length;
  }

  /** Waits to be in front, runs `turn`, leaves. @throws RondoError CANCELLED when `signal` is raised while waiting. */
  async takeTurn<T>(signal: AbortSignal, turn: () => Promise<T>): Promise<T> {
    const front = Promise.withResolvers<void>();
    const place = { reachedFront: front.resolve };
    this.#line.push(place);
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
