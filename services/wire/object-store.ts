import { createHash } from 'node:crypto';
import { DeliverPolicy } from '@nats-io/jetstream';
import { type ObjectStore as NatsObjectStore, type ObjectInfo, StorageType } from '@nats-io/obj';
import { RondoError } from '@rondo/core';
import type { NatsLink } from './nats-link.ts';
import { storeCall, WHILE_IT_FLOWS } from './store-call.ts';
import { copiesWanted, fitStream, naming, objectsStream } from './stream.ts';

/** Chunks that a reader holds at most: 16 of 128 KiB. */
const CHUNKS_AHEAD = 16;
const FETCH_MS = 5_000;

/** Files in a JetStream object store, written and read as streams: no file is ever wholly in memory. */
export class ObjectStore {
  readonly #link: NatsLink;
  readonly #store: NatsObjectStore;
  readonly #bucket: string;

  private constructor(link: NatsLink, store: NatsObjectStore, bucket: string) {
    this.#link = link;
    this.#store = store;
    this.#bucket = bucket;
  }

  /** The stream behind a store. */
  static stream(bucket: string): string {
    return objectsStream(bucket);
  }

  /** @throws RondoError NATS_UNAVAILABLE */
  static async open(link: NatsLink, bucket: string): Promise<ObjectStore> {
    const wish = { name: objectsStream(bucket), ...copiesWanted(link) };
    const store = await storeCall(() =>
      naming(wish, () =>
        link.stores.objects.create(bucket, {
          storage: StorageType.File,
          ...(link.replicas !== undefined && { replicas: link.replicas }),
        }),
      ),
    );
    // The client takes one that is there as it is.
    await storeCall(async () => fitStream(await link.stores.jetstream.jetstreamManager(false), wish));
    return new ObjectStore(link, store, bucket);
  }

  /**
   * Stores `content` as `name`, in the place of an earlier object of that name; what fails halfway leaves nothing.
   * @returns its size in bytes
   * @throws RondoError NATS_UNAVAILABLE, and whatever `content` throws
   */
  async put(name: string, content: AsyncIterable<Uint8Array>): Promise<number> {
    let failure: unknown;
    const watched = async function* () {
      try {
        yield* content;
      } catch (thrown) {
        failure = thrown;
        throw thrown;
      }
    };
    try {
      const stream = ReadableStream.from(watched());
      return (await storeCall(() => this.#store.put({ name }, stream), WHILE_IT_FLOWS)).size;
    } catch (thrown) {
      throw failure ?? thrown;
    }
  }

  /**
   * The bytes of `name`, at the pace of the reader; undefined when there is none.
   * @throws RondoError NATS_UNAVAILABLE, then and while reading
   */
  async get(name: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const info = await storeCall(() => this.#store.info(name));
    return info === null || info.deleted ? undefined : this.#chunks(info);
  }

  async delete(name: string): Promise<void> {
    if ((await storeCall(() => this.#store.info(name))) === null) return;
    await storeCall(() => this.#store.delete(name));
  }

  async *#chunks({ name, nuid, chunks, digest }: ObjectInfo): AsyncGenerator<Uint8Array, void, undefined> {
    const hash = createHash('sha256');
    if (chunks > 0) {
      const consumer = await storeCall(() =>
        this.#link.stores.jetstream.consumers.get(objectsStream(this.#bucket), {
          filter_subjects: `$O.${this.#bucket}.C.${nuid}`,
          deliver_policy: DeliverPolicy.All,
        }),
      );
      try {
        for (let seen = 0; seen < chunks; ) {
          const before = seen;
          const wanted = Math.min(CHUNKS_AHEAD, chunks - seen);
          const messages = await storeCall(() => consumer.fetch({ max_messages: wanted, expires: FETCH_MS }));
          const iterator = messages[Symbol.asyncIterator]();
          // Each message by itself: the client's own wait for one outlives a server that is away.
          for (;;) {
            const { value: message, done } = await storeCall(() => iterator.next());
            if (done) break;
            hash.update(message.data);
            seen++;
            yield message.data;
          }
          if (seen === before)
            throw new RondoError('NATS_UNAVAILABLE', `object ${name}: NATS sends no more of it`);
        }
      } finally {
        await consumer.delete().catch(() => undefined);
      }
    }
    if (digest !== `SHA-256=${hash.digest('base64url').padEnd(44, '=')}`) {
      throw new RondoError(
        'INTERNAL',
        `object ${name}: what NATS sent has another digest than what was stored`,
      );
    }
  }
}
