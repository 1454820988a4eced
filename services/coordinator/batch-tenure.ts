import type { RecordStore, Stored } from '@rondo/wire';
import type { BatchRecord } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';

/**
 * The time in which one coordinator reads a batch's input or writes its output. It raises the record's beat while it does: when that
 * stands still for the stores' silence, another coordinator takes over. Both may then work for a moment, and come to the same.
 */
export class BatchTenure {
  readonly #store: RecordStore<BatchRecord>;
  #stored: Stored<BatchRecord>;
  #lost = false;
  #writing: Promise<unknown> = Promise.resolve();
  readonly #timer: NodeJS.Timeout;

  constructor({ open, silenceMs }: Pick<BatchStores, 'open' | 'silenceMs'>, stored: Stored<BatchRecord>) {
    this.#store = open;
    this.#stored = stored;
    this.#timer = setInterval(() => {
      // A beat that fails is no harm unless they all do.
      void this.beat().catch(() => undefined);
    }, silenceMs / 4);
  }

  get batch(): BatchRecord {
    return this.#stored.value;
  }

  /** Another coordinator has the batch: whatever is not written yet is its to write. */
  get lost(): boolean {
    return this.#lost;
  }

  /**
   * Writes `change` of the record as it is by then. False when the batch is another's, or has gone.
   * @throws RondoError NATS_UNAVAILABLE
   */
  write(change: (batch: BatchRecord) => BatchRecord): Promise<boolean> {
    const turn = this.#writing.then(() => this.#write(change));
    this.#writing = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Says that it is at work still. False as `write` says it.
   * @throws RondoError NATS_UNAVAILABLE
   */
  beat(): Promise<boolean> {
    return this.write(raiseBeat);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #write(change: (batch: BatchRecord) => BatchRecord): Promise<boolean> {
    while (!this.#lost) {
      const written = await this.#store.replace(this.#stored, change(this.#stored.value));
      if (written !== undefined) {
        this.#stored = written;
        return true;
      }
      const fresh = await this.#store.get(this.#stored.key);
      if (fresh === undefined || fresh.value.keeper.id !== this.#stored.value.keeper.id) this.#lost = true;
      else this.#stored = fresh;
    }
    return false;
  }
}

const raiseBeat = (batch: BatchRecord): BatchRecord => ({
  ...batch,
  keeper: { ...batch.keeper, beat: batch.keeper.beat + 1 },
});
