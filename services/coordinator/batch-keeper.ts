import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@rondo/chassis';
import { type Clock, RondoError } from '@rondo/core';
import type { Stored } from '@rondo/wire';
import { type BatchDuty, batchDuty, waitsForTaken } from './batch-duty.ts';
import { readInput } from './batch-input.ts';
import type { BatchMetrics } from './batch-metrics.ts';
import { type BatchRecord, type BatchTally, isEnded, sealed } from './batch-record.ts';
import { writeOutput } from './batch-results.ts';
import type { BatchStores } from './batch-stores.ts';
import { BatchTenure } from './batch-tenure.ts';
import { RefusalPause } from './refusal-pause.ts';

export interface BatchKeeperOptions {
  /** Unlike that of any other coordinator, and of this one in its earlier lives. */
  readonly id: string;
  readonly stores: BatchStores;
  readonly metrics: BatchMetrics;
  readonly log: Logger;
  readonly clock: Clock;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** How often every open batch is looked at, in milliseconds. */
const LOOK_MS = 1_000;

/** Looks after all open batches, beside the keepers of other coordinators: each duty is done by one of them, or done twice to no harm. */
export class BatchKeeper {
  readonly #options: BatchKeeperOptions;
  readonly #tenures = new Map<string, Promise<void>>();
  /** When the revision of a batch was first seen here. */
  readonly #seen = new Map<string, { readonly revision: number; readonly sinceMs: number }>();
  /** Of each batch whose duty failed: it may be its own fault, and an input is read whole each time. */
  readonly #pauses = new Map<string, RefusalPause>();
  #open: readonly Stored<BatchRecord>[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(options: BatchKeeperOptions) {
    this.#options = options;
  }

  /** Batches whose lines may run, the oldest first, as of the last look. */
  get running(): readonly BatchRecord[] {
    return this.#open.map(({ value }) => value).filter(({ status }) => status === 'in_progress');
  }

  /** Looks at once: something has changed. */
  look(): void {
    this.#wake.resolve();
  }

  /** Runs until `signal` is raised. What it has not finished by then another coordinator will. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        await this.#lookAtAll(signal);
      } catch (thrown) {
        this.#options.log.debug({ err: thrown }, 'batches could not be looked at');
      }
      await Promise.race([this.#wake.promise, delay(LOOK_MS, undefined, { signal }).catch(() => undefined)]);
    }
  }

  /** The results of `batch` by now. */
  async tally(batch: BatchRecord): Promise<BatchTally> {
    if (batch.ending !== undefined || batch.total === 0) return batch.tally;
    const { seq, completed, failed } = batch.tally;
    const counted = await this.#options.stores.results.count(batch.id, { seq, kinds: { completed, failed } });
    const { completed: c = 0, failed: f = 0 } = counted.kinds;
    return { seq: counted.seq, completed: c, failed: f };
  }

  async #lookAtAll(signal: AbortSignal): Promise<void> {
    const { stores, metrics } = this.#options;
    this.#open = (await stores.open.list()).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    metrics.open.set(this.#open.length);
    const keys = new Set(this.#open.map(({ key }) => key));
    for (const known of [this.#seen, this.#pauses])
      for (const id of known.keys()) if (!keys.has(id)) known.delete(id);
    for (const stored of this.#open) {
      if (signal.aborted) return;
      if (this.#tenures.has(stored.key)) continue;
      // One that cannot be counted now keeps no other from its duty.
      await this.#lookAt(stored).catch((thrown: unknown) => {
        this.#options.log.debug({ err: thrown, batch: stored.key }, 'a batch could not be looked at');
      });
    }
  }

  async #lookAt(stored: Stored<BatchRecord>): Promise<void> {
    const { stores, id, clock, now } = this.#options;
    const batch = stored.value;
    if (isEnded(batch)) return this.#archive(batch);
    // Before the tally: whoever is done with a line has stored its result, which then counts.
    const taken = waitsForTaken(batch, now()) ? await stores.queue.taken(batch.id) : 0;
    const tally = await this.tally(batch);
    const duty = batchDuty({ batch, tally, taken }, now());
    switch (duty.do) {
      case 'nothing':
        if (tally.seq !== batch.tally.seq) await this.#note({ ...stored }, tally);
        return;
      case 'seal': {
        const written = await stores.open.replace(stored, sealed(batch, duty.ending, tally, id, now()));
        if (written !== undefined) this.#begin(written, 'write-output');
        return;
      }
      case 'read-input':
      case 'write-output': {
        if ((this.#pauses.get(batch.id)?.leftMs(clock.now()) ?? 0) > 0) return;
        const mine = batch.keeper.id === id ? await this.#asListed(stored) : await this.#takeOver(stored);
        if (mine !== undefined) this.#begin(mine, duty.do);
      }
    }
  }

  async #note(stored: Stored<BatchRecord>, tally: BatchTally): Promise<void> {
    const { stores, log } = this.#options;
    const { id, total } = stored.value;
    const written = await stores.open.replace(stored, { ...stored.value, tally });
    if (written === undefined) return;
    log.info({ batch: id, total, completed: tally.completed, failed: tally.failed }, 'a batch goes on');
  }

  /**
   * Undefined where it has changed since: of a batch that has ended meanwhile the results are dropped. It writes nothing: a beat before each
   * try would keep others off a batch that fails here alone.
   */
  async #asListed(stored: Stored<BatchRecord>): Promise<Stored<BatchRecord> | undefined> {
    const fresh = await this.#options.stores.open.get(stored.key);
    return fresh?.revision === stored.revision ? stored : undefined;
  }

  /** A batch whose keeper has been silent for too long; undefined while it may still be working. */
  async #takeOver(stored: Stored<BatchRecord>): Promise<Stored<BatchRecord> | undefined> {
    const { stores, id, clock, log } = this.#options;
    const seen = this.#seen.get(stored.key);
    if (seen?.revision !== stored.revision) {
      this.#seen.set(stored.key, { revision: stored.revision, sinceMs: clock.now() });
      return undefined;
    }
    if (clock.now() - seen.sinceMs < stores.silenceMs) return undefined;
    log.warn({ batch: stored.key, keeper: stored.value.keeper.id }, 'a batch was left lying: taken over');
    return stores.open.replace(stored, { ...stored.value, keeper: { id, beat: 0 } });
  }

  /** Does the duty beside everything else. */
  #begin(stored: Stored<BatchRecord>, duty: Exclude<BatchDuty['do'], 'nothing' | 'seal'>): void {
    const { stores, log, clock, now } = this.#options;
    const tenure = new BatchTenure(stores, stored);
    const work = duty === 'read-input' ? readInput : writeOutput;
    const done = work(tenure, stores, now)
      .then(async () => {
        this.#pauses.delete(stored.key);
        if (tenure.lost || !isEnded(tenure.batch)) return;
        // By whose write it ended, and not where it is put away: others that see it may do that at the same time.
        this.#tell(tenure.batch);
        await this.#archive(tenure.batch);
      })
      .catch((thrown: unknown) => {
        const pause = this.#pauses.get(stored.key) ?? new RefusalPause();
        this.#pauses.set(stored.key, pause);
        pause.refused(clock.now());
        const error = RondoError.from(thrown);
        if (error.code !== 'CANCELLED')
          log.warn({ err: thrown, batch: stored.key, duty }, 'will be tried again');
      })
      .finally(() => {
        tenure.end();
        this.#tenures.delete(stored.key);
        this.look();
      });
    this.#tenures.set(stored.key, done);
  }

  #tell({ id, status, total, tally: { completed, failed } }: BatchRecord): void {
    const { metrics, log } = this.#options;
    metrics.ended.inc({ status });
    log.info({ batch: id, status, total, completed, failed }, 'a batch has ended');
  }

  /** Puts an ended batch where it costs no looks, and lets go of what it needed. Again does no harm. */
  async #archive(batch: BatchRecord): Promise<void> {
    const { stores } = this.#options;
    const { id } = batch;
    await stores.ended.put(id, batch);
    await stores.queue.dropGroup(id);
    await stores.results.dropGroup(id);
    await stores.open.delete(id);
  }
}
