import type { KvCopy, Stack } from '@rondo/engine';
import type { KvPools, PageCounts, Reservations } from './kv-pools.ts';
import { PageTable } from './page-table.ts';

/** What a sequence keeps on one worker. */
export interface KvNeed {
  readonly positions: number;
  /** Depths whose passes run here. */
  readonly depths: readonly number[];
  /** Prelude and coda layers run at home only; 0 elsewhere and where the model has none. */
  readonly preludeLayers: number;
  readonly codaLayers: number;
}

/** Pages that one page's worth of positions takes in each stack. */
export const pagesPerPosition = (need: Omit<KvNeed, 'positions'>): PageCounts => ({
  prelude: need.preludeLayers > 0 ? 1 : 0,
  block: need.depths.length,
  coda: need.codaLayers > 0 ? 1 : 0,
});

/**
 * A sequence's K and V on this worker: reserved for all of its positions at open, so that it never stalls for memory
 * later; pages are taken as positions are reached. What the engine must copy before the next run (an exited row's K/V)
 * waits here and dies with the sequence: it can never touch pages of another.
 */
export class Residency {
  readonly positions: number;
  readonly #reservations: Reservations;
  readonly #tables: ReadonlyMap<string, PageTable>;
  readonly #depths: readonly number[];
  readonly #copies: KvCopy[] = [];
  #inStep = false;
  #closed = false;

  private constructor(need: KvNeed, reservations: Reservations, pagePositions: number) {
    this.positions = need.positions;
    this.#reservations = reservations;
    this.#depths = need.depths;
    const names = [
      tableName('prelude', 0),
      ...need.depths.map((d) => tableName('block', d)),
      tableName('coda', 0),
    ];
    this.#tables = new Map(names.map((name) => [name, new PageTable(pagePositions)]));
  }

  /** Reserves pages for all positions in every table, or undefined when a pool cannot promise them. */
  static open(pools: KvPools, need: KvNeed): Residency | undefined {
    const pages = Math.ceil(need.positions / pools.pagePositions);
    const per = pagesPerPosition(need);
    const reservations = pools.reserve({
      prelude: pages * per.prelude,
      block: pages * per.block,
      coda: pages * per.coda,
    });
    return reservations && new Residency(need, reservations, pools.pagePositions);
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
  }

  /** The row at `position` exited after `depth`: deeper passes will read its K/V of that depth. (kvPolicy last-exited) */
  copyDeeper(position: number, depth: number): void {
    const from = this.#table('block', depth).locate(position);
    for (const deeper of this.#depths.filter((candidate) => candidate > depth)) {
      this.reach('block', deeper, position + 1);
      const table = this.#table('block', deeper);
      this.#copies.push({ fromPage: from.page, toPage: table.locate(position).page, slot: from.slot });
      table.wrote(position + 1);
    }
  }

  /**
   * The row at `position` exited: its K/V at `depth`, the first it skipped, will be written to the page returned and, as
   * they are alike, copied to every deeper depth. (kvPolicy propagate)
   */
  reachDeeper(position: number, depth: number): number {
    this.reach('block', depth, position + 1);
    this.wrote('block', depth, position + 1);
    this.copyDeeper(position, depth);
    return this.#table('block', depth).locate(position).page;
  }

  /** K/V rows that the engine must copy before the next run on this stack; handed out once. */
  drain(stack: Stack): KvCopy[] {
    return stack === 'block' ? this.#copies.splice(0) : [];
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

  #release(): void {
    for (const reservation of Object.values(this.#reservations)) reservation.release();
  }

  #table(stack: Stack, depth: number): PageTable {
    const table = this.#tables.get(tableName(stack, depth));
    if (!table) throw new Error(`depth ${depth} of the ${stack} does not run on this worker`);
    return table;
  }
}

const tableName = (stack: Stack, depth: number): string => `${stack} ${depth}`;
