import { type KvCopy, STACKS, type Stack } from '@rondo/engine';
import type { KvPools, PageCounts, Reservations } from './kv-pools.ts';
import { PageTable } from './page-table.ts';
import type { PageSet } from './prefix-cache.ts';
import { PromptPages } from './prompt-pages.ts';

/** What a sequence keeps on one worker. */
export interface KvNeed {
  readonly positions: number;
  /** Depths whose passes run here. */
  readonly depths: readonly number[];
  /** Prelude and coda layers run at home only; 0 elsewhere and where the model has none. */
  readonly preludeLayers: number;
  readonly codaLayers: number;
  /**
   * Ids of a prompt whose pages may be shared with other sequences: all of its depths must run here, every row of the
   * prompt every pass. Absent: nothing is shared.
   */
  readonly promptIds?: readonly number[] | undefined;
}

/** Pages that one page's worth of positions takes in each stack. */
export const pagesPerPosition = (need: Omit<KvNeed, 'positions'>): PageCounts => ({
  prelude: need.preludeLayers > 0 ? 1 : 0,
  block: need.depths.length,
  coda: need.codaLayers > 0 ? 1 : 0,
});

/**
 * A sequence's K and V on this worker: reserved for all of its positions at open, so that it never stalls for memory
 * later; pages are taken as positions are reached. Pages that the prefix cache has are shared and never written. What the
 * engine must copy before somebody reads it (an exited row's K/V) waits here for the next run at its depth: keys lie transposed, so that one
 * position touches a cache line for each number of a key, and its neighbours in the page lie on the same lines. It dies with the sequence: it can
 * never touch pages of another.
 */
export class Residency {
  readonly positions: number;
  /** Positions of the prompt whose K and V were here before it, at every depth: a whole number of pages. */
  readonly cachedPositions: number;
  readonly #pagePositions: number;
  readonly #reservations: Reservations;
  readonly #tables: ReadonlyMap<string, PageTable>;
  readonly #depths: readonly number[];
  readonly #prompt: PromptPages | undefined;
  /** By the depth whose next run waits for them. */
  readonly #copies = new Map<number, KvCopy[]>();
  #inStep = false;
  #closed = false;

  private constructor(need: KvNeed, reservations: Reservations, pagePositions: number, prompt?: PromptPages) {
    this.positions = need.positions;
    this.cachedPositions = (prompt?.found ?? 0) * pagePositions;
    this.#pagePositions = pagePositions;
    this.#reservations = reservations;
    this.#depths = need.depths;
    this.#prompt = prompt;
    const shared = prompt?.shared;
    const table = (stack: Stack, index: number, depths: number): PageTable => {
      const pages = shared?.[stack].filter((_, page) => page % depths === index);
      return new PageTable(pagePositions, this.cachedPositions, pages);
    };
    this.#tables = new Map([
      [tableName('prelude', 0), table('prelude', 0, 1)],
      ...need.depths.map(
        (depth, index) => [tableName('block', depth), table('block', index, need.depths.length)] as const,
      ),
      [tableName('coda', 0), table('coda', 0, 1)],
    ]);
  }

  /** Reserves pages for all positions in every table, or undefined when a pool cannot promise them. */
  static open(pools: KvPools, need: KvNeed): Residency | undefined {
    const { prompt, counts } = wanted(pools, need);
    const reservations = pools.reserve(counts, prompt?.shared);
    if (!reservations) return undefined;
    prompt?.hold();
    return new Residency(need, reservations, pools.pagePositions, prompt);
  }

  /**
   * Whether pools could promise what `need` asks for if `leaving` were closed now: in a running step it returns nothing yet. Pages that
   * others share of it count as returned.
   */
  static fits(pools: KvPools, need: KvNeed, leaving: Residency): boolean {
    const { counts } = wanted(pools, need);
    const returned = (stack: Stack) => (leaving.#inStep ? 0 : leaving.#reservations[stack].count);
    return STACKS.every((stack) => counts[stack] <= pools.freePages(stack) + returned(stack));
  }

  /** Positions whose K and V are written at this depth of this stack. */
  written(stack: Stack, depth: number): number {
    return this.#table(stack, depth).written;
  }

  /** Page numbers that cover positions below `end`. */
  reach(stack: Stack, depth: number, end: number): readonly number[] {
    const reservation = this.#reservations[stack];
    const table = this.#table(stack, depth);
    // A stack without layers keeps no K and V, hence no pages, only the order of its chunks.
    if (reservation.count > 0) table.reach(end, reservation);
    return table.pages;
  }

  wrote(stack: Stack, depth: number, end: number): void {
    this.#table(stack, depth).wrote(end);
    if (this.#prompt?.wanting) this.#share(this.#prompt);
  }

  /** The row at `position` exited after `depth`: passes below `end` will read its K/V of that depth. (kvPolicy last-exited) */
  copyDeeper(position: number, depth: number, end: number): void {
    const from = this.#table('block', depth).locate(position);
    for (const deeper of this.#depths.filter((candidate) => candidate > depth && candidate < end)) {
      this.reach('block', deeper, position + 1);
      const table = this.#table('block', deeper);
      this.#owe(deeper, {
        fromPage: from.page,
        toPage: table.locate(position).page,
        slot: from.slot,
        slots: 1,
      });
      table.wrote(position + 1);
    }
  }

  /**
   * The row at `position` exited: its K/V at `depth`, the first it skipped, will be written to the page returned and, as
   * they are alike, copied to every deeper depth below `end`. (kvPolicy propagate)
   */
  reachDeeper(position: number, depth: number, end: number): number {
    this.reach('block', depth, position + 1);
    this.wrote('block', depth, position + 1);
    this.copyDeeper(position, depth, end);
    return this.#table('block', depth).locate(position).page;
  }

  /** K/V rows that the engine must copy before the next run at this depth of this stack; handed out once. */
  drain(stack: Stack, depth: number): readonly KvCopy[] {
    if (stack !== 'block') return [];
    const copies = this.#copies.get(depth) ?? [];
    this.#copies.delete(depth);
    return copies;
  }

  /** While a step runs on them, pages stay: the engine is still writing there. */
  enterStep(): void {
    this.#inStep = true;
  }

  leaveStep(): void {
    this.#inStep = false;
    if (this.#closed) this.#release();
  }

  /** Returns all pages, at the end of the running step if the sequence is in it. */
  close(): void {
    this.#closed = true;
    if (!this.#inStep) this.#release();
  }

  #owe(depth: number, copy: KvCopy): void {
    const copies = this.#copies.get(depth) ?? [];
    this.#copies.set(depth, copies);
    const last = copies.at(-1);
    const goesOn =
      last?.fromPage === copy.fromPage && last.toPage === copy.toPage && last.slot + last.slots === copy.slot;
    if (goesOn) copies[copies.length - 1] = { ...last, slots: last.slots + copy.slots };
    else copies.push(copy);
  }

  #release(): void {
    for (const reservation of Object.values(this.#reservations)) reservation.release();
    this.#prompt?.leave();
  }

  /** Pages of the prompt that every table has filled are left to the prefix cache. */
  #share(prompt: PromptPages): void {
    const paged = (stack: Stack): PageTable[] => {
      if (this.#reservations[stack].count === 0) return [];
      return (stack === 'block' ? this.#depths : [0]).map((depth) => this.#table(stack, depth));
    };
    const [prelude, block, coda] = [paged('prelude'), paged('block'), paged('coda')];
    const written = Math.min(...[...prelude, ...block, ...coda].map((table) => table.written));
    prompt.filled(Math.floor(written / this.#pagePositions), (index): PageSet => {
      const at = (tables: readonly PageTable[]) => tables.map((table) => table.pages[index]!);
      return { prelude: at(prelude), block: at(block), coda: at(coda) };
    });
  }

  #table(stack: Stack, depth: number): PageTable {
    const table = this.#tables.get(tableName(stack, depth));
    if (!table) throw new Error(`depth ${depth} of the ${stack} does not run on this worker`);
    return table;
  }
}

/** Pages that a sequence needs of its own, and the way of its prompt along the cache. */
function wanted(
  { pagePositions, prefixes }: KvPools,
  need: KvNeed,
): { readonly prompt: PromptPages | undefined; readonly counts: PageCounts } {
  const prompt = need.promptIds && prefixes && new PromptPages(prefixes, need.promptIds, pagePositions);
  const pages = Math.ceil(need.positions / pagePositions) - (prompt?.found ?? 0);
  const per = pagesPerPosition(need);
  const counts = { prelude: pages * per.prelude, block: pages * per.block, coda: pages * per.coda };
  return { prompt, counts };
}

const tableName = (stack: Stack, depth: number): string => `${stack} ${depth}`;
