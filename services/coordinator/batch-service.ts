import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger, Metrics, Telemetry } from '@rondo/chassis';
import { LIMITS, RondoError, systemClock } from '@rondo/core';
import type { NatsLink } from '@rondo/wire';
import type { BackgroundRequests } from './background-requests.ts';
import { BatchKeeper } from './batch-keeper.ts';
import { BatchMetrics } from './batch-metrics.ts';
import { BatchRunner } from './batch-runner.ts';
import { type BatchStores, openBatchStores } from './batch-stores.ts';
import { Batches } from './batches.ts';
import { Files } from './files.ts';
import { mendLostStores } from './lost-stores.ts';
import type { Models } from './models.ts';

export interface BatchServiceOptions {
  readonly link: NatsLink;
  readonly models: Models;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly telemetry: Telemetry;
  readonly requests: BackgroundRequests;
  /** `LIMITS.batchSilenceMs` unless told otherwise. */
  readonly silenceMs?: number | undefined;
}

/** How often opening the stores is tried while NATS is away, in milliseconds. */
const RETRY_MS = 1_000;

interface Running {
  readonly stores: BatchStores;
  readonly keeper: BatchKeeper;
}

/** Files and batches at one coordinator: what clients do with them, and the work on batches of all coordinators. */
export class BatchService {
  readonly files: Files;
  readonly batches: Batches;
  readonly #options: BatchServiceOptions;
  readonly #stopping = new AbortController();
  readonly #id = randomUUID();
  readonly #tried = Promise.withResolvers<void>();
  #running: Running | undefined;
  readonly #work: Promise<void>;

  /** Begins to work as soon as the link has a connection. */
  constructor(options: BatchServiceOptions) {
    this.#options = options;
    const nowMs = () => Date.now();
    this.files = new Files(() => this.#ready().stores, nowMs);
    this.batches = new Batches({
      stores: () => this.#ready().stores,
      keeper: () => this.#ready().keeper,
      files: this.files,
      nowMs,
      keeperId: this.#id,
      telemetry: options.telemetry,
    });
    this.#work = this.#run(this.#stopping.signal);
  }

  /** Resolves when the stores are open, or cannot be for now: then they are opened once NATS is there. */
  tried(): Promise<void> {
    return this.#tried.promise;
  }

  /** Gives running lines back to the queue. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#work;
  }

  #ready(): Running {
    // With NATS away this throws what is wrong with it.
    void this.#options.link.stores;
    if (this.#running !== undefined) return this.#running;
    throw new RondoError(
      'NATS_UNAVAILABLE',
      'NATS: the stores of files and batches are not open yet; try again',
    );
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { models, log, requests } = this.#options;
    const stores = await this.#open(signal);
    if (stores === undefined) {
      this.#tried.resolve();
      return;
    }
    const metrics = new BatchMetrics(this.#options.metrics);
    const now = () => Math.floor(Date.now() / 1000);
    const keeper = new BatchKeeper({ id: this.#id, stores, metrics, log, clock: systemClock, now });
    const runner = new BatchRunner({
      stores,
      models,
      requests,
      load: () => models.load,
      running: () => keeper.running,
      metrics,
      log,
      clock: systemClock,
    });
    this.#running = { stores, keeper };
    this.#tried.resolve();
    const { link, silenceMs = LIMITS.batchSilenceMs } = this.#options;
    await Promise.all([
      keeper.run(signal),
      runner.run(signal),
      mendLostStores({ link, silenceMs, log }, signal),
    ]);
  }

  async #open(signal: AbortSignal): Promise<BatchStores | undefined> {
    const { link, log, silenceMs = LIMITS.batchSilenceMs } = this.#options;
    const told = new Set<string>();
    while (!signal.aborted) {
      try {
        return await openBatchStores(link, silenceMs);
      } catch (thrown) {
        this.#tried.resolve();
        const { message } = RondoError.from(thrown);
        // That NATS is away its link tells; what else there is would be met at every try.
        const level = told.has(message) || !link.state.connected ? 'debug' : 'warn';
        told.add(message);
        log[level]({ err: thrown }, 'the stores of files and batches cannot be opened yet: tried again');
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  }
}
