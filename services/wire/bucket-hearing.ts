import type { KV } from '@nats-io/kv';
import { isStreamMissing } from './stream.ts';

/** How often a bucket that is listened to is asked how far it has come, in milliseconds. */
const ASK_MS = 5_000;

/**
 * Notices that nothing of a bucket is heard any more though the connection stays: its server came back without it, or somebody
 * deleted it. Made anew it counts from 1, and who listens waits for the number after the last, for ever and without a fault.
 */
export class BucketHearing {
  readonly #bucket: Pick<KV, 'status'>;
  readonly #deaf: (why: string) => void;
  readonly #timer: NodeJS.Timeout;
  #heard: number;
  /** The bucket's last number when it was asked. */
  #asked: number;

  private constructor(bucket: Pick<KV, 'status'>, last: number, deaf: (why: string) => void) {
    this.#bucket = bucket;
    this.#deaf = deaf;
    this.#heard = last;
    this.#asked = last;
    this.#timer = setInterval(() => void this.#ask(), ASK_MS).unref();
  }

  /**
   * Call it before listening: what the bucket holds by then need not be heard. `deaf` is called with the reason, at every look until
   * `end`.
   * @throws whatever NATS says, when it is away or refuses.
   */
  static async begin(bucket: Pick<KV, 'status'>, deaf: (why: string) => void): Promise<BucketHearing> {
    return new BucketHearing(bucket, await lastRevision(bucket), deaf);
  }

  /** An entry of this revision was heard. */
  heard(revision: number): void {
    this.#heard = Math.max(this.#heard, revision);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    try {
      const last = await lastRevision(this.#bucket);
      if (last < this.#heard) this.#deaf('their bucket was made anew');
      // It had come that far a whole turn ago.
      else if (this.#heard < this.#asked) this.#deaf('what their bucket holds is not heard');
      this.#asked = last;
    } catch (thrown) {
      // A server that is busy or away for a moment says nothing of the bucket.
      if (isStreamMissing(thrown)) this.#deaf('their bucket is gone');
    }
  }
}

const lastRevision = async (bucket: Pick<KV, 'status'>): Promise<number> =>
  (await bucket.status()).streamInfo.state.last_seq;
