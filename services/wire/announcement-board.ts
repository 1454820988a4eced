import type { KV, KvWatchEntry } from '@nats-io/kv';
import { headers } from '@nats-io/transport-node';
import { LIMITS, RondoError } from '@rondo/core';
import { decodeAnnouncement, encodeAnnouncement, type WorkerAnnouncement } from './announcement.ts';
import { BucketHearing } from './bucket-hearing.ts';
import type { NatsLink, NatsStores } from './nats-link.ts';
import { bucketStream, copiesWanted, fitStream, naming } from './stream.ts';

/** What happens on the board, in the order in which it happened. A key is a worker's. */
export interface BoardListener {
  /**
   * From now on everything that hangs there is told, first all of it, then what changes. Again after every absence of NATS, and
   * when the board itself was lost and is there anew.
   */
  began(): void;
  announced(key: string, announcement: WorkerAnnouncement): void;
  /** It was not renewed in time. */
  expired(key: string): void;
  /** The worker took it down. */
  withdrawn(key: string): void;
  /** Something unreadable hangs there, or the board cannot be read now. */
  failed(error: RondoError): void;
}

const RETRY_MS = 1_000;
const VALUE_BYTES_MAX = 8 * 1024;
const seconds = (ms: number): string => `${Math.ceil(ms / 1000)}s`;

/**
 * Announcements of workers in a bucket of NATS, each for `LIMITS.announcementMs` unless it is renewed. The bucket is kept in
 * the server's memory: after a restart it is made anew by whoever comes first, and everybody announces again.
 */
export class AnnouncementBoard {
  readonly #link: NatsLink;

  constructor(link: NatsLink) {
    this.#link = link;
  }

  /**
   * Hangs `announcement` up, or renews it; not once `signal` has told that the worker leaves.
   * @throws whatever NATS says, when it is away or refuses.
   */
  async announce(announcement: WorkerAnnouncement, signal?: AbortSignal): Promise<void> {
    const { jetstream } = this.#link.stores;
    const put = () =>
      jetstream.publish(this.#subject(announcement.workerId), encodeAnnouncement(announcement), {
        ttl: seconds(LIMITS.announcementMs),
        retries: 0,
        timeout: LIMITS.natsConnectMs,
      });
    try {
      await put();
    } catch {
      // Nobody listens when there is no bucket: the server may have been started anew.
      await this.#bucket(this.#link.stores);
      signal?.throwIfAborted();
      await put();
    }
  }

  /** Takes the announcement of worker `id` down. What says so is itself forgotten after a while. */
  async withdraw(id: string): Promise<void> {
    const { jetstream } = this.#link.stores;
    const deletion = headers();
    deletion.set('KV-Operation', 'DEL');
    await jetstream.publish(this.#subject(id), '', {
      headers: deletion,
      ttl: seconds(LIMITS.announcementMarkerMs),
      retries: 0,
      timeout: LIMITS.natsConnectMs,
    });
  }

  /** Watches the board until the returned function is called, across all absences of NATS. */
  watch(listener: BoardListener): () => void {
    let current: Watch | undefined;
    const begin = (stores: NatsStores): void => {
      current?.stop();
      current = new Watch(() => this.#watched(stores, listener), listener);
      void current.run();
    };
    const unsubscribe = this.#link.onConnected(begin);
    const stop = (): void => {
      unsubscribe();
      current?.stop();
    };
    this.#link.closing.addEventListener('abort', stop, { once: true });
    return stop;
  }

  /** The bucket, made when there is none; the same whoever makes it, so many may try at once. */
  async #bucket({ buckets }: NatsStores): Promise<KV> {
    const make = () =>
      naming(this.#wish, () =>
        buckets.create(this.#link.subjects.workersBucket, {
          description: 'Workers of a Rondo cluster, one key each',
          storage: 'memory',
          ...(this.#link.replicas !== undefined && { replicas: this.#link.replicas }),
          history: 1,
          maxValueSize: VALUE_BYTES_MAX,
          markerTTL: LIMITS.announcementMarkerMs,
        }),
      );
    // A second try finds what another process with other settings has just made.
    return make().catch(make);
  }

  /** The bucket with as many copies as are wanted; with fewer it is read all the same, and `listener` told why. */
  async #watched(stores: NatsStores, listener: BoardListener): Promise<KV> {
    const bucket = await this.#bucket(stores);
    try {
      await fitStream(await stores.jetstream.jetstreamManager(false), this.#wish);
    } catch (thrown) {
      // What is wrong with NATS itself shows when the bucket is read.
      if (thrown instanceof RondoError) listener.failed(thrown);
    }
    return bucket;
  }

  get #wish() {
    return { name: bucketStream(this.#link.subjects.workersBucket), ...copiesWanted(this.#link) };
  }

  #subject(id: string): string {
    return `$KV.${this.#link.subjects.workersBucket}.${keyOf(id)}`;
  }
}

/** A worker's id as a key: characters that keys cannot have are written as `=hex`. */
const keyOf = (id: string): string =>
  id.replace(/[^-\w]/gu, (character) => `=${character.codePointAt(0)?.toString(16)}=`);

/** One stretch of watching, between two connects; a bucket that is lost in between is watched anew. */
class Watch {
  readonly #bucket: () => Promise<KV>;
  readonly #listener: BoardListener;
  readonly #stopped = new AbortController();

  constructor(bucket: () => Promise<KV>, listener: BoardListener) {
    this.#bucket = bucket;
    this.#listener = listener;
  }

  stop(): void {
    this.#stopped.abort();
  }

  async run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await this.#read(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        this.#listener.failed(unreadable(thrown));
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, RETRY_MS);
        signal.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true });
      });
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const bucket = await this.#bucket();
    let lost: string | undefined;
    let stop = () => {};
    const hearing = await BucketHearing.begin(bucket, (why) => {
      lost = why;
      stop();
    });
    try {
      const entries = await bucket.watch();
      stop = () => entries.stop();
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) return;
      this.#listener.began();
      for await (const entry of entries) {
        hearing.heard(entry.revision);
        if (!signal.aborted) this.#tell(entry);
      }
    } finally {
      hearing.end();
      signal.removeEventListener('abort', stop);
      stop();
    }
    if (lost !== undefined && !signal.aborted) throw new Error(`${lost}; it is listened to anew`);
  }

  #tell(entry: KvWatchEntry): void {
    // A key that outlived its time is marked as purged; a worker deletes its own.
    if (entry.operation === 'PURGE') this.#listener.expired(entry.key);
    else if (entry.operation === 'DEL') this.#listener.withdrawn(entry.key);
    else {
      try {
        this.#listener.announced(entry.key, decodeAnnouncement(entry.string()));
      } catch (thrown) {
        this.#listener.failed(RondoError.from(thrown));
      }
    }
  }
}

const unreadable = (thrown: unknown): RondoError =>
  new RondoError(
    'NATS_UNAVAILABLE',
    `the workers' announcements cannot be read: ${(thrown as Error).message}`,
    {
      cause: thrown,
    },
  );
