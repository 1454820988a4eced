import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { type Msg, nanos } from '@nats-io/transport-node';
import type { NatsLink } from './nats-link.ts';
import { storeCall } from './store-call.ts';

export interface Job {
  readonly key: string;
  readonly data: Uint8Array;
  /** It is done with: nobody gets it again. */
  done(): void;
  /** Gives it back, for anybody to take after `delayMs`. */
  giveBack(delayMs: number): void;
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
      manager.streams.add({
        name: options.stream,
        subjects: [`${options.subject}.>`],
        retention: RetentionPolicy.Workqueue,
        storage: StorageType.File,
        num_replicas: link.replicas,
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
    return {
      key: message.subject.slice(message.subject.lastIndexOf('.') + 1),
      data: message.data,
      done: () => answer('+ACK'),
      giveBack: (delayMs) => answer(`-NAK ${JSON.stringify({ delay: nanos(delayMs) })}`),
      keep: () => answer('+WPI'),
    };
  }

  /** How many jobs of a group are with somebody now. */
  async taken(group: string): Promise<number> {
    const { stream } = this.#options;
    return (await storeCall(() => this.#manager.consumers.info(stream, group))).num_ack_pending;
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
