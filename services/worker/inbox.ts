import { type Chunk, depthOf } from './chunk.ts';
import type { Tenant } from './tenant.ts';

/**
 * Chunks ready to run, in one queue for each (sequence, phase, depth): there the order is what keeps K and V complete,
 * between queues it is the step policy's business.
 */
export class Inbox {
  readonly #queues = new Map<Tenant, Map<string, Chunk[]>>();

  get empty(): boolean {
    return this.#queues.size === 0;
  }

  put(chunk: Chunk): void {
    const queues = this.#queues.get(chunk.tenant) ?? new Map<string, Chunk[]>();
    this.#queues.set(chunk.tenant, queues);
    const name = queueName(chunk);
    const queue = queues.get(name);
    if (queue) queue.push(chunk);
    else queues.set(name, [chunk]);
  }

  /** The first chunk of every queue, sequences in the order in which they last ran. */
  fronts(): Chunk[] {
    return [...this.#queues.values()].flatMap((queues) => [...queues.values()].map((queue) => queue[0]!));
  }

  /** Takes chunks that `fronts` showed. */
  take(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      const queues = this.#queues.get(chunk.tenant)!;
      const name = queueName(chunk);
      const queue = queues.get(name)!;
      queue.shift();
      if (queue.length === 0) queues.delete(name);
      this.#queues.delete(chunk.tenant);
      if (queues.size > 0) this.#queues.set(chunk.tenant, queues);
    }
  }

  /** Drops whatever waits of a sequence. */
  remove(tenant: Tenant): void {
    this.#queues.delete(tenant);
  }
}

const queueName = (chunk: Chunk): string => `${chunk.phase} ${depthOf(chunk)}`;
