import { DeliverPolicy, type JetStreamManager, StorageType } from '@nats-io/jetstream';
import { headers, nanos } from '@nats-io/transport-node';
import { RondoError } from '@rondo/core';
import type { NatsLink } from './nats-link.ts';
import { isConflict } from './record-store.ts';
import { storeCall } from './store-call.ts';
import { copiesWanted, openStream } from './stream.ts';

export interface KeyedResultsOptions {
  /** The stream's name. */
  readonly stream: string;
  /** What its subjects begin with. */
  readonly subject: string;
  /** What nobody dropped is deleted after so long, in milliseconds. */
  readonly keptMs: number;
  /** How long a portion of the results may take that are counted, in milliseconds. */
  readonly countMs?: number;
}

/** Results of a group up to place `seq` of the stream, counted by their kinds. */
export interface Tally {
  readonly seq: number;
  readonly kinds: Readonly<Record<string, number>>;
}

export interface Result {
  readonly data: Uint8Array;
  /** Its place in the stream: later results have higher ones. */
  readonly seq: number;
}

const KIND = 'Rondo-Kind';
const COUNT_AHEAD = 512;
/** In which at least one of them comes, in milliseconds. */
const COUNT_MS = 5_000;

/** One result per (group, key) on a JetStream stream: the first writer wins, whoever else has the same result is told so. */
export class KeyedResults {
  readonly #link: NatsLink;
  readonly #manager: JetStreamManager;
  readonly #options: KeyedResultsOptions;

  private constructor(link: NatsLink, manager: JetStreamManager, options: KeyedResultsOptions) {
    this.#link = link;
    this.#manager = manager;
    this.#options = options;
  }

  /** @throws RondoError NATS_UNAVAILABLE, as all calls do */
  static async open(link: NatsLink, options: KeyedResultsOptions): Promise<KeyedResults> {
    const manager = await storeCall(() => link.stores.jetstream.jetstreamManager());
    await storeCall(() =>
      openStream(manager, {
        name: options.stream,
        subjects: [`${options.subject}.>`],
        storage: StorageType.File,
        ...copiesWanted(link),
        max_age: nanos(options.keptMs),
      }),
    );
    return new KeyedResults(link, manager, options);
  }

  /** Stores a result of `kind` unless there is one already; true when this one was stored. */
  async put(group: string, key: string, kind: string, data: Uint8Array): Promise<boolean> {
    const labels = headers();
    labels.set(KIND, kind);
    return storeCall(async () => {
      try {
        await this.#link.stores.jetstream.publish(this.#subject(group, key), data, {
          headers: labels,
          expect: { lastSubjectSequence: 0 },
        });
        return true;
      } catch (thrown) {
        if (isConflict(thrown)) return false;
        throw thrown;
      }
    });
  }

  async get(group: string, key: string): Promise<Result | undefined> {
    const message = await storeCall(() =>
      this.#manager.streams.getMessage(this.#options.stream, { last_by_subj: this.#subject(group, key) }),
    );
    return message === null ? undefined : { data: message.data, seq: message.seq };
  }

  /**
   * `earlier` with all results of the group that came since. Reads no bodies. Takes as long as there are results to count.
   * @throws RondoError NATS_UNAVAILABLE when none comes for a while: the time is each portion's, not the whole's
   */
  async count(group: string, earlier: Tally): Promise<Tally> {
    const { stream, countMs } = this.#options;
    const consumer = await storeCall(() =>
      this.#link.stores.jetstream.consumers.get(stream, {
        filter_subjects: this.#subject(group, '*'),
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: earlier.seq + 1,
        headers_only: true,
      }),
    );
    try {
      const kinds: Record<string, number> = { ...earlier.kinds };
      let { seq } = earlier;
      for (let pending = (await storeCall(() => consumer.info(true))).num_pending; pending > 0; ) {
        const wanted = Math.min(COUNT_AHEAD, pending);
        const counted = await storeCall(async () => {
          let count = 0;
          for await (const message of await consumer.fetch({ max_messages: wanted, expires: COUNT_MS })) {
            const kind = message.headers?.get(KIND) ?? '';
            kinds[kind] = (kinds[kind] ?? 0) + 1;
            ({ seq } = message);
            pending = message.info.pending;
            count++;
          }
          return count;
        }, countMs);
        if (counted > 0) continue;
        // The group was dropped meanwhile, or the server is in no state to answer.
        pending = (await storeCall(() => consumer.info(true))).num_pending;
        if (pending > 0)
          throw new RondoError('NATS_UNAVAILABLE', `NATS: no result of ${group} came for ${COUNT_MS} ms`);
      }
      return { seq, kinds };
    } finally {
      await consumer.delete().catch(() => undefined);
    }
  }

  async dropGroup(group: string): Promise<void> {
    await storeCall(() =>
      this.#manager.streams.purge(this.#options.stream, { filter: this.#subject(group, '*') }),
    );
  }

  #subject(group: string, key: string): string {
    return `${this.#options.subject}.${group}.${key}`;
  }
}
