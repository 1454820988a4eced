import { Worker } from 'node:worker_threads';
import { emptyUpperHalves } from './upper-halves.ts';

/** What a thread that helps with the kernel's items works on. */
export interface KernelThreadData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of this thread's private memory. */
  readonly scratch: number;
}

/** Words of the control block at the start of the memory; what all threads write has a cache line of its own. */
export const CONTROL = {
  /** Odd while threads are gathered; what sleeping threads wait for. */
  gathering: 0,
  stop: 1,
  /** Of the job at hand: its function, the function's argument, its items. */
  itemFunction: 2,
  argument: 3,
  items: 4,
  /** job · 2^16 + items that nobody has taken yet. */
  ticket: 16,
  /** Items that are done. */
  done: 32,
} as const;

export const CONTROL_BYTES = 192;
/** Items take 16 bits of the ticket. */
export const ITEMS_MAX = 2 ** 16 - 1;
const JOBS = 2 ** 15;

/** Does one item of a job. */
type ItemFunction = (item: number, argument: number, scratch: number) => void;

/** Functions of the kernel that work on items. */
export const ITEM_FUNCTIONS = [
  'place',
  'placeKeys',
  'attend',
  'addNorm',
  'round',
  'product',
  'gated',
  'adaptedProduct',
  'adaptedGated',
  'headNorm',
  'headRound',
  'headProduct',
  'headSums',
] as const;
export type ItemFunctionName = (typeof ITEM_FUNCTIONS)[number];

export const itemFunctionsOf = (exports: Record<string, unknown>): ItemFunction[] =>
  ITEM_FUNCTIONS.map((name) => exports[name] as ItemFunction);

/**
 * Takes one item of the job at hand and does it; false when none is left. The job's words are written only while no
 * item is left, and a ticket that changed since it was read is not taken: so what was read belongs to the ticket.
 */
export function takeItem(control: Int32Array, functions: readonly ItemFunction[], scratch: number): boolean {
  const ticket = Atomics.load(control, CONTROL.ticket);
  const left = ticket & 0xffff;
  if (left === 0) return false;
  const called = Atomics.load(control, CONTROL.itemFunction);
  const argument = Atomics.load(control, CONTROL.argument);
  const items = Atomics.load(control, CONTROL.items);
  if (Atomics.compareExchange(control, CONTROL.ticket, ticket, ticket - 1) === ticket) {
    functions[called]!(items - left, argument, scratch);
    Atomics.add(control, CONTROL.done, 1);
  }
  return true;
}

/** Threads that take part in the kernel's work while the graph runtime's own threads have nothing to do. */
export class KernelThreads {
  readonly #control: Int32Array;
  readonly #threads: readonly Worker[];
  readonly #functions: readonly ItemFunction[];
  readonly #scratch: number;
  #job = 0;

  constructor(
    control: Int32Array,
    helpers: readonly KernelThreadData[],
    exports: Record<string, unknown>,
    scratch: number,
  ) {
    this.#control = control;
    this.#functions = itemFunctionsOf(exports);
    this.#scratch = scratch;
    this.#threads = helpers.map((workerData) => {
      const thread = new Worker(new URL('./kernel-thread.ts', import.meta.url), { workerData });
      thread.unref();
      return thread;
    });
  }

  /** Threads that work, this one among them. */
  get count(): number {
    return this.#threads.length + 1;
  }

  /** Wakes the other threads for the jobs that follow, which costs some ten microseconds. They spin between jobs. */
  gather(): void {
    if (this.#threads.length === 0) return;
    Atomics.add(this.#control, CONTROL.gathering, 1);
    Atomics.notify(this.#control, CONTROL.gathering);
  }

  /** Lets the other threads sleep. */
  dismiss(): void {
    if (this.#threads.length > 0) Atomics.add(this.#control, CONTROL.gathering, 1);
  }

  /** Does items 0…`items`−1 of the function `name`, with the threads that are gathered; one item is not worth telling them of. */
  run(name: ItemFunctionName, items: number, argument: number): void {
    if (items > 1) this.#share(name, items, argument);
    else if (items === 1) this.#functions[ITEM_FUNCTIONS.indexOf(name)]!(0, argument, this.#scratch);
    emptyUpperHalves();
  }

  #share(name: ItemFunctionName, items: number, argument: number): void {
    const control = this.#control;
    this.#job++;
    Atomics.store(control, CONTROL.done, 0);
    Atomics.store(control, CONTROL.itemFunction, ITEM_FUNCTIONS.indexOf(name));
    Atomics.store(control, CONTROL.argument, argument);
    Atomics.store(control, CONTROL.items, items);
    Atomics.store(control, CONTROL.ticket, ((this.#job % JOBS) << 16) | items);
    while (takeItem(control, this.#functions, this.#scratch));
    while (Atomics.load(control, CONTROL.done) < items);
  }

  async close(): Promise<void> {
    Atomics.store(this.#control, CONTROL.stop, 1);
    Atomics.add(this.#control, CONTROL.gathering, 2);
    Atomics.notify(this.#control, CONTROL.gathering);
    await Promise.all(
      this.#threads.map((thread) => {
        thread.ref();
        return new Promise<void>((resolve) => thread.once('exit', () => resolve()));
      }),
    );
  }
}
