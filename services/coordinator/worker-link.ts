import { setTimeout as delay } from 'node:timers/promises';
import type { Bundle } from '@rondo/bundle';
import type { Logger } from '@rondo/chassis';
import { type Address, type Clock, RondoError, systemClock, type WorkerRef } from '@rondo/core';
import {
  type Load,
  PROTOCOL_REVISION,
  type Pulse,
  type Work,
  type WorkerClient,
  type WorkerDescription,
} from '@rondo/wire';
import { ClockOffset } from './clock-offset.ts';
import { LinkLife, type LinkState } from './link-life.ts';
import { hanging, type Movement } from './stuck-policy.ts';

export interface LinkOptions {
  readonly bundle: Bundle;
  readonly connect: (address: Address) => WorkerClient;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Called with what the worker at an address holds; whoever knows where that belongs may close this link by it. */
  readonly found?: ((address: Address, digest: string) => void) | undefined;
}

/** A worker that was asked who it is, serves the same bundle and pulses. */
export interface LinkedWorker {
  readonly worker: WorkerRef;
  readonly client: WorkerClient;
  /** What it holds and how full it is, as of its last pulse. */
  readonly load: Load;
  readonly work: Work;
}

/** Who hears of a link. */
export interface LinkHooks {
  /** State or worker may be others. */
  changed(): void;
  /** The worker has pulsed. */
  moved(movement: Movement): void;
}

interface KnownWorker {
  readonly worker: WorkerRef;
  readonly totalPositions: number;
}

/** How long one try to reach a worker may take until its description is there, in milliseconds. */
const DESCRIBE_MS = 2_000;

/**
 * The way to whatever worker is at one address: asks who it is, listens to its pulses, and begins anew when they break off.
 * A worker that comes back is asked anew: one that was restarted is another.
 */
export class WorkerLink {
  readonly address: Address;
  readonly #options: LinkOptions;
  readonly #life: LinkLife;
  readonly #hooks: LinkHooks;
  readonly #end = new AbortController();
  readonly #joined = Promise.withResolvers<void>();
  readonly #offset = new ClockOffset();
  #linked: LinkedWorker | undefined;
  #known: KnownWorker | undefined;
  #failure: RondoError | undefined;
  #client: WorkerClient | undefined;
  #wanted = true;
  #over = false;

  /** Begins at once. */
  constructor(address: Address, options: LinkOptions, hooks: LinkHooks) {
    this.address = address;
    this.#options = options;
    this.#life = new LinkLife(options.clock ?? systemClock);
    this.#hooks = hooks;
    // Only who waits for the first pulse hears of a refusal.
    this.#joined.promise.catch(() => {});
    void this.#keep();
  }

  get state(): LinkState {
    return this.#life.state;
  }

  /** The worker at the other end; undefined while there is none to talk to. */
  get linked(): LinkedWorker | undefined {
    return this.#linked;
  }

  /** The worker that is or was there last. */
  get known(): KnownWorker | undefined {
    return this.#known;
  }

  /** Why there is no worker to talk to. */
  get failure(): RondoError | undefined {
    return this.#failure;
  }

  /** How far its clock is behind this one's, in milliseconds. */
  get behindMs(): number {
    return this.#offset.ms;
  }

  get suspected(): boolean {
    return this.#life.suspected;
  }

  /** Whether new sequences may be sent there. */
  get open(): boolean {
    return this.#linked !== undefined && this.#life.open;
  }

  /** True once it is not looked for any more. */
  get over(): boolean {
    return this.#over;
  }

  /** A sequence was lost there: nothing new goes there before its next pulse. */
  suspect(): void {
    this.#life.suspect();
  }

  /**
   * Waits for the first pulse.
   * @throws RondoError NO_WORKER when it stays unreachable for `withinMs`; BUNDLE_MISMATCH or PROTOCOL_MISMATCH when it
   * serves another bundle or speaks another protocol; CANCELLED when the link is closed.
   */
  async joined(withinMs: number): Promise<void> {
    const late = new AbortController();
    const expiry = delay(withinMs, undefined, { signal: late.signal, ref: true }).then(
      () => {
        throw new RondoError(
          'NO_WORKER',
          `worker ${this.address} is unreachable for ${withinMs / 1000} s; is 'rondo worker --listen ${this.address}' running?`,
          { cause: this.#failure },
        );
      },
      () => {},
    );
    try {
      await Promise.race([this.#joined.promise, expiry]);
    } finally {
      late.abort();
    }
  }

  /** Whoever announced it no longer does: once it is lost, it is not looked for any more. */
  want(wanted: boolean): void {
    this.#wanted = wanted;
  }

  /** Cancels whatever still runs there. */
  close(): void {
    this.#over = true;
    this.#end.abort();
    this.#joined.reject(new RondoError('CANCELLED', `worker ${this.address} is not looked for any more`));
    this.#client?.close();
  }

  async #keep(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      const error = await this.#session();
      if (signal.aborted) return;
      this.#lost(error);
      if (this.#over) return;
      // Ends early when the link is closed.
      await delay(this.#life.retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Talks to the worker over a connection of its own for as long as it pulses and moves; returns what ended that. */
  async #session(): Promise<RondoError> {
    const { bundle, connect, found } = this.#options;
    const { signal } = this.#end;
    let client: WorkerClient | undefined;
    try {
      // Refuses an address that is none.
      client = connect(this.address);
      this.#client = client;
      const description = await this.#describe(client);
      found?.(this.address, description.bundleDigest);
      checkDescription(this.address, description, bundle);
      const worker = {
        id: description.workerId,
        address: description.advertisedAddress ?? this.address,
      };
      for await (const pulse of client.watch(signal)) {
        const movement = { worker: worker.id, progress: pulse.progress, stepMs: pulse.load.stepMs };
        // First those who wait for it, then the end of their calls.
        this.#hooks.moved(movement);
        const hung = hanging(movement);
        if (hung) return new RondoError('WORKER_STUCK', `worker ${this.address} pulses, but ${hung.why}`);
        this.#pulsed(worker, client, description, pulse);
      }
      return new RondoError('WORKER_LOST', `worker ${this.address} pulses no more`);
    } catch (thrown) {
      return RondoError.from(thrown);
    } finally {
      client?.close();
    }
  }

  /** A process that is frozen takes connections and never answers. */
  async #describe(client: WorkerClient): Promise<WorkerDescription> {
    const soon = AbortSignal.timeout(DESCRIBE_MS);
    try {
      return await client.describe(AbortSignal.any([this.#end.signal, soon]));
    } catch (cause) {
      if (!soon.aborted) throw cause;
      throw new RondoError('WORKER_LOST', `worker ${this.address} does not answer`, { cause });
    }
  }

  #pulsed(worker: WorkerRef, client: WorkerClient, { provider }: WorkerDescription, pulse: Pulse): void {
    if (pulse.clockMs !== undefined)
      this.#offset.heard(pulse.clockMs, performance.timeOrigin + performance.now());
    const before = [this.open, this.state];
    const joins = this.#linked?.client !== client;
    this.#linked = { worker, client, load: pulse.load, work: pulse.work };
    this.#known = { worker, totalPositions: pulse.load.totalPositions };
    this.#failure = undefined;
    this.#life.pulsed(pulse.state);
    const { log } = this.#options;
    if (joins) log.info({ worker: worker.id, address: this.address, provider }, 'worker joined');
    if (joins || before[0] !== this.open || before[1] !== this.state) {
      if (!joins && pulse.state !== before[1])
        log.info({ worker: worker.id, state: this.state }, 'worker changed');
      this.#joined.resolve();
      this.#hooks.changed();
    }
  }

  #lost(error: RondoError): void {
    const { log } = this.#options;
    const known = this.#linked?.worker.id;
    // Said once for each loss, not for each try.
    if (this.#failure?.code !== error.code) {
      log.warn({ worker: known, address: this.address, code: error.code }, `no worker: ${error.message}`);
    }
    this.#linked = undefined;
    this.#failure = error;
    this.#life.failed();
    this.#over = !this.#wanted;
    if (!error.retryable) this.#joined.reject(error);
    this.#hooks.changed();
  }
}

/** @throws RondoError naming what differs and on which side. */
export function checkDescription(address: Address, description: WorkerDescription, bundle: Bundle): void {
  if (description.protocolRevision !== PROTOCOL_REVISION) {
    throw new RondoError(
      'PROTOCOL_MISMATCH',
      `worker ${address} speaks protocol revision ${description.protocolRevision}, this coordinator ${PROTOCOL_REVISION}; run the same version of Rondo on both`,
    );
  }
  if (description.bundleDigest !== bundle.digest) {
    throw new RondoError(
      'BUNDLE_MISMATCH',
      `worker ${address} serves bundle '${description.bundleName}' (${short(description.bundleDigest)}), this coordinator '${bundle.manifest.name}' (${short(bundle.digest)}); start both with the same bundle`,
    );
  }
}

const short = (digest: string): string => digest.slice(0, 12);
