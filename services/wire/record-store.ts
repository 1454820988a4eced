import { JetStreamApiCodes, JetStreamApiError, StorageType } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import { nanos } from '@nats-io/transport-node';
import type { NatsLink } from './nats-link.ts';
import { storeCall } from './store-call.ts';
import { bucketStream, copiesWanted, fitStream, naming } from './stream.ts';

/** A record as it was when it was read. */
export interface Stored<T> {
  readonly key: string;
  readonly value: T;
  /** Changes with every write. */
  readonly revision: number;
}

export interface RecordStoreOptions {
  /** A record that nobody writes for so long is deleted, in milliseconds; none is unless told otherwise. */
  readonly keptMs?: number;
}

/** JSON records in a JetStream key-value bucket. A write says what it replaces, so two writers never mix. */
export class RecordStore<T> {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  /** The stream behind a bucket. */
  static stream(bucket: string): string {
    return bucketStream(bucket);
  }

  /** @throws RondoError NATS_UNAVAILABLE, as all calls do */
  static async open<T>(
    link: NatsLink,
    bucket: string,
    { keptMs }: RecordStoreOptions = {},
  ): Promise<RecordStore<T>> {
    const wish = {
      name: bucketStream(bucket),
      ...copiesWanted(link),
      ...(keptMs !== undefined && { max_age: nanos(keptMs) }),
    };
    const kv = await storeCall(() =>
      naming(wish, () =>
        link.stores.buckets.create(bucket, {
          storage: StorageType.File,
          ...(link.replicas !== undefined && { replicas: link.replicas }),
          history: 1,
          ...(keptMs !== undefined && { ttl: keptMs }),
        }),
      ),
    );
    // The client takes a bucket that is there as it is.
    await storeCall(async () => fitStream(await link.stores.jetstream.jetstreamManager(false), wish));
    return new RecordStore<T>(kv);
  }

  async get(key: string): Promise<Stored<T> | undefined> {
    const entry = await storeCall(() => this.#kv.get(key));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return { key, value: entry.json<T>(), revision: entry.revision };
  }

  /** Writes in the place of whatever is there. */
  async put(key: string, value: T): Promise<Stored<T>> {
    const revision = await storeCall(() => this.#kv.put(key, JSON.stringify(value)));
    return { key, value, revision };
  }

  /** Replaces exactly what was read; undefined when another writer was faster. */
  async replace(old: Stored<T>, value: T): Promise<Stored<T> | undefined> {
    return storeCall(async () => {
      try {
        const revision = await this.#kv.update(old.key, JSON.stringify(value), old.revision);
        return { key: old.key, value, revision };
      } catch (thrown) {
        if (isConflict(thrown)) return undefined;
        throw thrown;
      }
    });
  }

  async delete(key: string): Promise<void> {
    await storeCall(() => this.#kv.purge(key));
  }

  /** All records, in no order. */
  async list(): Promise<Stored<T>[]> {
    return storeCall(async () => {
      const records: Stored<T>[] = [];
      for await (const entry of await this.#kv.history()) {
        if (entry.operation !== 'PUT') continue;
        records.push({ key: entry.key, value: entry.json<T>(), revision: entry.revision });
      }
      return records;
    });
  }
}

/** True for a write that expected another message to be the last of its subject. */
export const isConflict = (thrown: unknown): boolean =>
  thrown instanceof JetStreamApiError &&
  (thrown.code === JetStreamApiCodes.StreamWrongLastSequence ||
    thrown.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown);
