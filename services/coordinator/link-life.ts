import type { Clock } from '@rondo/core';
import type { WorkerState } from '@rondo/wire';

/** `joining`: never heard of yet. `lost`: was there, is looked for. */
export type LinkState = 'joining' | 'serving' | 'draining' | 'lost';

/** The first try after a loss comes after so long, every further one after twice as long, in milliseconds. */
const RETRY = { firstMs: 100, mostMs: 2_000 };
/** A worker that stays for so long (ms) and is lost then is looked for as eagerly as the first time. */
const STEADY_MS = 10_000;

/** What is known of a worker from its pulses and failures, and when to look for it again. */
export class LinkLife {
  readonly #clock: Clock;
  #state: LinkState = 'joining';
  #suspected = false;
  /** Failures in a row, none of them after a steady time. */
  #failures = 0;
  #heardSince: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** A sequence was lost there since its last pulse. */
  get suspected(): boolean {
    return this.#suspected;
  }

  /** True while new sequences may be sent there. */
  get open(): boolean {
    return this.#state === 'serving' && !this.#suspected;
  }

  /** A pulse has come: it is as it says, and whatever it was suspected of is over. */
  pulsed(state: WorkerState): void {
    this.#heardSince ??= this.#clock.now();
    this.#state = state;
    this.#suspected = false;
  }

  /** A sequence was lost there: nothing new goes there before its next pulse. */
  suspect(): void {
    this.#suspected = true;
  }

  /** It could not be reached, or its pulses broke off. */
  failed(): void {
    const heard = this.#heardSince;
    if (heard !== undefined) this.#state = 'lost';
    const steady = heard !== undefined && this.#clock.now() - heard >= STEADY_MS;
    this.#failures = steady ? 1 : this.#failures + 1;
    this.#heardSince = undefined;
  }

  /** How long to wait before looking for it again, in milliseconds. */
  get retryMs(): number {
    return Math.min(RETRY.mostMs, RETRY.firstMs * 2 ** Math.max(0, this.#failures - 1));
  }
}
