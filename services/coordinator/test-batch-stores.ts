import type { Stored } from '@rondo/wire';
import type { BatchRecord } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';
import type { FileRecord } from './files.ts';

/** Records in memory, each write with a revision of its own. */
class MemoryRecords<T> {
  readonly #records = new Map<string, Stored<T>>();
  #revision = 0;

  async get(key: string): Promise<Stored<T> | undefined> {
    return this.#records.get(key);
  }

  async put(key: string, value: T): Promise<Stored<T>> {
    const stored = { key, value, revision: ++this.#revision };
    this.#records.set(key, stored);
    return stored;
  }

  async replace({ key, revision }: Stored<T>, value: T): Promise<Stored<T> | undefined> {
    return this.#records.get(key)?.revision === revision ? this.put(key, value) : undefined;
  }

  async delete(key: string): Promise<void> {
    this.#records.delete(key);
  }

  async list(): Promise<Stored<T>[]> {
    return [...this.#records.values()];
  }
}

/** Jobs in memory that nobody takes. */
class MemoryQueue {
  /** The keys of each group's jobs. */
  readonly jobs = new Map<string, string[]>();

  async openGroup(): Promise<void> {}

  async add(group: string, key: string): Promise<void> {
    this.jobs.set(group, [...(this.jobs.get(group) ?? []), key]);
  }

  async taken(_group: string): Promise<number> {
    return 0;
  }

  async dropGroup(group: string): Promise<void> {
    this.jobs.delete(group);
  }
}

interface MemoryResult {
  readonly group: string;
  readonly key: string;
  readonly kind: string;
  readonly data: Uint8Array;
  readonly seq: number;
}

/** Results in memory, in the order in which they came. */
class MemoryResults {
  #results: readonly MemoryResult[] = [];
  #seq = 0;

  async put(group: string, key: string, kind: string, data: Uint8Array): Promise<boolean> {
    if ((await this.get(group, key)) !== undefined) return false;
    this.#results = [...this.#results, { group, key, kind, data, seq: ++this.#seq }];
    return true;
  }

  async get(group: string, key: string): Promise<MemoryResult | undefined> {
    return this.#results.find((result) => result.group === group && result.key === key);
  }

  async count(group: string, earlier: { seq: number; kinds: Record<string, number> }) {
    const later = this.#results.filter((result) => result.group === group && result.seq > earlier.seq);
    const kinds = { ...earlier.kinds };
    for (const { kind } of later) kinds[kind] = (kinds[kind] ?? 0) + 1;
    return { seq: later.at(-1)?.seq ?? earlier.seq, kinds };
  }

  async dropGroup(group: string): Promise<void> {
    this.#results = this.#results.filter((result) => result.group !== group);
  }
}

/** Files' bytes in memory. */
class MemoryContents {
  readonly #contents = new Map<string, Uint8Array[]>();

  async put(name: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
    const pieces = await Array.fromAsync(content);
    this.#contents.set(name, pieces);
    return Buffer.concat(pieces).length;
  }

  async get(name: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const pieces = this.#contents.get(name);
    return pieces && ReadableStream.from(pieces);
  }
}

/** What several coordinators share in NATS, in the memory of a test; `queue` and `open` are there to be looked at and disturbed. */
export function memoryStores() {
  const stores = {
    contents: new MemoryContents(),
    files: new MemoryRecords<FileRecord>(),
    open: new MemoryRecords<BatchRecord>(),
    ended: new MemoryRecords<BatchRecord>(),
    queue: new MemoryQueue(),
    results: new MemoryResults(),
    silenceMs: 10_000,
  };
  return { ...stores, shared: stores as unknown as BatchStores };
}
