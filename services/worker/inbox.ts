import { LIMITS, stageAt } from '@rondo/core';
import { type Chunk, depthOf, slotsOf } from './chunk.ts';
import type { ReadyChunk } from './step-policy.ts';
import type { Tenant } from './tenant.ts';

/**
 * Chunks ready to run, in one queue for each (sequence, phase, depth): there the order is what keeps K and V complete,
 * between queues it is the step policy's business.
 */
export class Inbox {
  readonly #queues = new Map<Tenant, Map<string, Chunk[]>>();
  readonly #leavesNext: (chunk: Chunk) => boolean;
  #rows = 0;

  /** `leavesNext`: whether a chunk is known to have nothing but the head behind its next run. */
  constructor(leavesNext: (chunk: Chunk) => boolean) {
    this.#leavesNext = leavesNext;
  }

  get empty(): boolean {
    return this.#queues.size === 0;
  }

  /** Rows inside the stacks that wait for a run and are not owed: each of them will have one. */
  get rows(): number {
    return this.#rows;
  }

  put(chunk: Chunk): void {
    this.#rows += awaited(chunk);
    const queues = this.#queues.get(chunk.tenant) ?? new Map<string, Chunk[]>();
    this.#queues.set(chunk.tenant, queues);
    const name = queueName(chunk);
    const queue = queues.get(name) ?? [];
    queues.set(name, queue);
    const last = queue.at(-1);
    const fits = last && last.owed === last.rows && last.rows + chunk.rows <= LIMITS.prefillChunkRows;
    // States of one are on the engine's device, those of the other are here: they run one after the other.
    if (fits && !slotsOf(last) === !slotsOf(chunk)) queue[queue.length - 1] = joined(last, chunk);
    else queue.push(chunk);
  }

  /** The first chunk of every queue, sequences in the order in which they last ran. */
  fronts(): Front[] {
    const fronts: Front[] = [];
    for (const queues of this.#queues.values()) {
      for (const queue of queues.values()) {
        const [chunk] = queue as [Chunk];
        const { phase, passes, rows, owed } = chunk;
        const deferred = queue.length === 1 && owed === rows && rows < LIMITS.prefillChunkRows;
        const { background } = chunk.tenant;
        const passesHere = passes - (stageAt(chunk.tenant.route, passes)?.depths.first ?? 0);
        const decodes = rows - owed === 1;
        const leaves = this.#leavesNext(chunk);
        fronts.push({ chunk, phase, passes, passesHere, rows, decodes, leaves, deferred, background });
      }
    }
    return fronts;
  }

  /** All of them, in no order. */
  *waiting(): Iterable<Chunk> {
    for (const queues of this.#queues.values()) for (const queue of queues.values()) yield* queue;
  }

  /** Takes chunks that `fronts` showed. */
  take(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      const queues = this.#queues.get(chunk.tenant)!;
      const name = queueName(chunk);
      const queue = queues.get(name)!;
      queue.shift();
      this.#rows -= awaited(chunk);
      if (queue.length === 0) queues.delete(name);
      this.#queues.delete(chunk.tenant);
      if (queues.size > 0) this.#queues.set(chunk.tenant, queues);
    }
  }

  /** Drops whatever waits of a sequence. */
  remove(tenant: Tenant): void {
    for (const queue of this.#queues.get(tenant)?.values() ?? [])
      for (const chunk of queue) this.#rows -= awaited(chunk);
    this.#queues.delete(tenant);
  }
}

/**
 * The first chunk of a queue, in the step policy's words. Rows that are owed are deferred while no other row stands
 * behind them and they do not fill a chunk: a sequence's debt stays bounded.
 */
export interface Front extends ReadyChunk {
  readonly chunk: Chunk;
}

/** What waits before the prelude may wait for others to end (step policy static). */
const awaited = ({ phase, rows, owed }: Chunk): number => (phase === 'prelude' ? 0 : rows - owed);

const queueName = (chunk: Chunk): string => `${chunk.phase} ${depthOf(chunk)}`;

/** Rows that are owed and the rows behind them run as one chunk. */
function joined(owed: Chunk, next: Chunk): Chunk {
  const values = slotsOf(owed) ? Int32Array : Float32Array;
  const input = new values(owed.input.length + next.input.length);
  input.set(owed.input);
  input.set(next.input, owed.input.length);
  return { ...next, start: owed.start, rows: owed.rows + next.rows, owed: owed.rows + next.owed, input };
}
