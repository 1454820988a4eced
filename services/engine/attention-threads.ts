import { Worker } from 'node:worker_threads';

/** What a thread that helps with attention works on. */
export interface AttentionThreadData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of this thread's private memory. */
  readonly scratch: number;
}

/** Words of the control block at the start of the memory. */
export const CONTROL = {
  /** Rises with every job; what sleeping threads wait for. */
  job: 0,
  /** job · 2^16 + the next item to take. */
  next: 1,
  items: 2,
  layer: 3,
  /** Threads at work on items. */
  busy: 4,
  stop: 5,
} as const;

export const CONTROL_BYTES = 64;
/** An item's number takes 16 bits of the counter. */
export const ITEMS_MAX = 2 ** 16 - 1;
const JOBS = 2 ** 15;

type Attend = (item: number, layer: number, scratch: number) => void;

/**
 * Takes items of job `job` until none is left. The counter names its job, so a thread that wakes late takes nothing of
 * the next one.
 */
export function attendItems(control: Int32Array, job: number, attend: Attend, scratch: number): void {
  const items = Atomics.load(control, CONTROL.items);
  const layer = Atomics.load(control, CONTROL.layer);
  for (;;) {
    const ticket = Atomics.load(control, CONTROL.next);
    const item = ticket & 0xffff;
    if (ticket >> 16 !== job % JOBS || item >= items) return;
    if (Atomics.compareExchange(control, CONTROL.next, ticket, ticket + 1) === ticket) {
      attend(item, layer, scratch);
    }
  }
}

/** Threads that take part in attention while the graph runtime's own threads have nothing to do. */
export class AttentionThreads {
  readonly #control: Int32Array;
  readonly #threads: readonly Worker[];
  readonly #attend: Attend;
  readonly #scratch: number;
  #job = 0;

  constructor(control: Int32Array, helpers: readonly AttentionThreadData[], attend: Attend, scratch: number) {
    this.#control = control;
    this.#attend = attend;
    this.#scratch = scratch;
    this.#threads = helpers.map((workerData) => {
      const thread = new Worker(new URL('./attention-thread.ts', import.meta.url), { workerData });
      thread.unref();
      return thread;
    });
  }

  /** Does items 0…`items`−1 of a layer; `together` wakes the other threads, which costs some ten microseconds. */
  run(items: number, layer: number, together: boolean): void {
    const control = this.#control;
    this.#job++;
    Atomics.store(control, CONTROL.items, items);
    Atomics.store(control, CONTROL.layer, layer);
    Atomics.store(control, CONTROL.next, (this.#job % JOBS) << 16);
    if (together && this.#threads.length > 0) {
      Atomics.store(control, CONTROL.job, this.#job);
      Atomics.notify(control, CONTROL.job);
    }
    attendItems(control, this.#job, this.#attend, this.#scratch);
    while (Atomics.load(control, CONTROL.busy) > 0);
  }

  async close(): Promise<void> {
    Atomics.store(this.#control, CONTROL.stop, 1);
    Atomics.add(this.#control, CONTROL.job, 1);
    Atomics.notify(this.#control, CONTROL.job);
    await Promise.all(
      this.#threads.map((thread) => new Promise<void>((resolve) => thread.once('exit', () => resolve()))),
    );
  }
}
