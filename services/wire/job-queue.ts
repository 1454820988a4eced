import {
  AckPolicy,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { headers, type Msg, nanos } from '@nats-io/transport-node';
import type { NatsLink } from './nats-link.ts';
import { isConflict } from './record-store.ts';
import { storeCall } from './store-call.ts';
import { copiesWanted, openStream } from './stream.ts';

export interface Job {
  readonly key: string;
  readonly data: Uint8Array;
  /** How often it was taken, this time included, but for the times it was given back `unharmed`. */
  readonly deliveries: number;
  /** It is done with: nobody gets it again. */
  done(): void;
  /**
   * Gives it back for anybody to take, behind all others of its group; whether this time counts among its `deliveries` is for the
   * taker to say. Does nothing once the group is dropped; with NATS away the job comes again after the silence, and counts.
   */
  giveBack(how: 'unharmed' | 'harmful'): Promise<void>;
  /** Keeps it for as long again as a silent taker may keep it. */
  keep(): void;
}

export interface JobQueueOptions {
  /** The stream's name. */
  readonly stream: string;
  /** What its subjects begin with. */
  readonly subject: string;
  /** A job whose taker was silent so long goes to another, in milliseconds. */
  readonly silenceMs: number;
}

/** How long a taken job may be on its way; with no_wait the server answers at once. */
const TAKE_MS = 2_000;
/** On a job that was given back: its deliveries before. */
const DELIVERIES = 'Rondo-Deliveries';

/**
 * Jobs in groups on a JetStream work queue: each is delivered to one taker at a time, again when that one falls silent, and is deleted
 * once done. Every group has a durable consumer of its own, so that one can be counted and dropped without the others.
 */
export class JobQueue {
  readonly #link: NatsLink;
  readonly #manager: JetStreamManager;
  readonly #options: JobQueueOptions;

  private constructor(link: NatsLink, manager: JetStreamManager, options: JobQueueOptions) {
    this.#link = link;
    this.#manager = manager;
    this.#options = options;
  }

  /** @throws RondoError NATS_UNAVAILABLE, as all calls do */
  static async open(link: NatsLink, options: JobQueueOptions): Promise<JobQueue> {
    const manager = await storeCall(() => link.stores.jetstream.jetstreamManager());
    await storeCall(() =>
      openStream(manager, {
        name: options.stream,
        subjects: [`${options.subject}.>`],
        retention: RetentionPolicy.Workqueue,
        storage: StorageType.File,
        ...copiesWanted(link),
      }),
    );
    return new JobQueue(link, manager, options);
  }

  /** Makes a group that jobs can be taken from. Again does nothing. */
  async openGroup(group: string): Promise<void> {
    await storeCall(() =>
      this.#manager.consumers.add(this.#options.stream, {
        durable_name: group,
        filter_subject: `${this.#options.subject}.${group}.*`,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ack_wait: nanos(this.#options.silenceMs),
        max_deliver: -1,
        max_ack_pending: -1,
      }),
    );
  }

  /** Adds a job. A repetition within two minutes does nothing; a later one makes the job run again. */
  async add(group: string, key: string, data: Uint8Array): Promise<void> {
    const { subject } = this.#options;
    await storeCall(() =>
      this.#link.stores.jetstream.publish(`${subject}.${group}.${key}`, data, { msgID: `${group}.${key}` }),
    );
  }

  /** The next job of a group, undefined when none waits. */
  async take(group: string): Promise<Job | undefined> {
    const message = await storeCall(() => this.#next(group));
    if (message === undefined) return undefined;
    const answer = (word: string) => {
      // With NATS away the answer is lost, and the job goes to somebody again after the silence.
      if (this.#link.state.connected) this.#link.stores.connection.publish(message.reply ?? '', word);
    };
    const { delivered, seq } = deliveryOf(message.reply ?? '');
    const deliveries = Number(message.headers?.get(DELIVERIES) || 0) + delivered;
    return {
      key: message.subject.slice(message.subject.lastIndexOf('.') + 1),
      data: message.data,
      deliveries,
      done: () => answer('+ACK'),
      giveBack: async (how) => {
        // Without NATS it is given back by the silence.
        const back = await this.#addAgain(message, seq, how === 'harmful' ? deliveries : deliveries - 1).then(
          () => true,
          () => false,
        );
        if (back) answer('+ACK');
      },
      keep: () => answer('+WPI'),
    };
  }

  /** Adds a job that is still there anew: what JetStream counts begins at 0 again, `deliveries` travels with it. */
  async #addAgain(message: Msg, seq: number, deliveries: number): Promise<void> {
    const labels = headers();
    labels.set(DELIVERIES, String(deliveries));
    await storeCall(async () => {
      try {
        await this.#link.stores.jetstream.publish(message.subject, message.data, {
          headers: labels,
          // Of a group that was dropped meanwhile nothing may stay, and of a job no second copy.
          expect: { lastSubjectSequence: seq },
        });
      } catch (thrown) {
        if (!isConflict(thrown)) throw thrown;
      }
    });
  }

  /** How many jobs of a group are with somebody now; none of one that is not there, or that NATS has lost. */
  async taken(group: string): Promise<number> {
    const { stream } = this.#options;
    return storeCall(async () => {
      try {
        return (await this.#manager.consumers.info(stream, group)).num_ack_pending;
      } catch (thrown) {
        if (isGone(thrown)) return 0;
        throw thrown;
      }
    });
  }

  /** Forgets a group with all its jobs. */
  async dropGroup(group: string): Promise<void> {
    const { stream, subject } = this.#options;
    await storeCall(async () => {
      await this.#manager.consumers.delete(stream, group).catch(() => undefined);
      await this.#manager.streams.purge(stream, { filter: `${subject}.${group}.*` });
    });
  }

  /** One pull that does not wait: the client library's own waits for at least a second. */
  async #next(group: string): Promise<Msg | undefined> {
    const { connection, jetstream } = this.#link.stores;
    const message = await connection.request(
      `${jetstream.apiPrefix}.CONSUMER.MSG.NEXT.${this.#options.stream}.${group}`,
      JSON.stringify({ batch: 1, no_wait: true }),
      // A job comes under its own subject, which the shared inbox of requests would not know.
      { timeout: TAKE_MS, noMux: true },
    );
    // A status instead of a message: there is none.
    return message.headers !== undefined && message.headers.code > 0 ? undefined : message;
  }
}

const isGone = (thrown: unknown): boolean =>
  thrown instanceof JetStreamApiError &&
  (thrown.code === JetStreamApiCodes.ConsumerNotFound || thrown.code === JetStreamApiCodes.StreamNotFound);

/** From `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream seq>.…`, the reply subject of a delivery. */
function deliveryOf(reply: string): { delivered: number; seq: number } {
  const parts = reply.split('.');
  const [delivered, seq] = parts.slice(parts.length === 9 ? 4 : 6).map(Number);
  return { delivered: delivered ?? 1, seq: seq ?? 0 };
}
