import { LIMITS, RondoError } from '@rondo/core';
import type { StackBatch } from './engine.ts';
import {
  ITEM_WORDS,
  itemHeadsMax,
  itemRowsMax,
  type KernelLayout,
  type KernelShape,
} from './kernel/shape.ts';

/** Sequences from which on an item takes heads together. */
const MANY_CHUNKS = 4;

/** Keys read below which waking the other threads costs more than they save. */
const TOGETHER_KEYS = 2048;

/** Page tables of a run: where they lie, how many entries fit, and how many positions a sequence may have. */
export interface PageTables {
  readonly start: number;
  readonly entries: number;
  readonly positions: number;
}

/** The rows of one run in the kernel's memory, and the items in which its threads attend: rows of one sequence with some heads. */
export class AttentionItems {
  readonly #words: Int32Array;
  readonly #layout: KernelLayout;
  readonly #shape: KernelShape;
  readonly #tables: PageTables;
  #rows = 0;
  #count = 0;
  #together = false;

  constructor(words: Int32Array, layout: KernelLayout, shape: KernelShape, tables: PageTables) {
    this.#words = words;
    this.#layout = layout;
    this.#shape = shape;
    this.#tables = tables;
  }

  get rows(): number {
    return this.#rows;
  }

  get count(): number {
    return this.#count;
  }

  /** Whether they are work enough for more than one thread. */
  get together(): boolean {
    return this.#together;
  }

  /**
   * Those of `batch`; `addressOf` tells where a page of its stack begins.
   * @throws RondoError ENGINE_FAILED for more rows or pages than a step may have, or positions than memory was laid out for.
   */
  begin({ starts, rowCounts, pageTable }: StackBatch, addressOf: (page: number) => number): void {
    const chunks = starts.length;
    const pages = pageTable.length / chunks;
    const rows = rowCounts.reduce((sum, count) => sum + count, 0);
    this.#check(
      rows,
      pageTable.length,
      starts.reduce((most, start, chunk) => Math.max(most, start + rowCounts[chunk]!), 0),
    );
    const words = this.#words;
    const tableStart = this.#tables.start / 4;
    for (let at = 0; at < pageTable.length; at++) words[tableStart + at] = addressOf(pageTable[at]!);
    const rowsPerItem = itemRowsMax(this.#shape);
    const { heads, kvHeads, pagePositions } = this.#shape;
    // Few sequences are divided among the threads by heads.
    const together = chunks >= MANY_CHUNKS ? itemHeadsMax(this.#shape) : 1;
    let row = 0;
    let item = this.#layout.items / 4;
    let keys = 0;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const [start, count] = [starts[chunk]!, rowCounts[chunk]!];
      const table = tableStart + chunk * pages;
      for (let offset = 0; offset < count; offset++) {
        const position = start + offset;
        this.#place(row + offset, position, words[table + Math.floor(position / pagePositions)]!);
      }
      for (let first = 0; first < count; first += rowsPerItem) {
        const taken = Math.min(rowsPerItem, count - first);
        const headsPerItem = taken === 1 ? together : 1;
        for (let kvHead = 0; kvHead < kvHeads; kvHead += headsPerItem, item += ITEM_WORDS) {
          words[item] = row + first;
          words[item + 1] = taken;
          words[item + 2] = kvHead;
          words[item + 3] = Math.min(headsPerItem, kvHeads - kvHead);
          words[item + 4] = table * 4;
        }
        keys += (start + first + taken) * taken * heads;
      }
      row += count;
    }
    this.#setRows(rows);
    this.#count = (item - this.#layout.items / 4) / ITEM_WORDS;
    this.#together = keys > TOGETHER_KEYS;
  }

  /**
   * Rows that do not attend: row i is at `positions[i]`, in the page at address `pages[i]`.
   * @throws RondoError ENGINE_FAILED as `begin`.
   */
  beginRows(positions: Int32Array, pages: ArrayLike<number>): void {
    this.#check(
      positions.length,
      pages.length,
      positions.reduce((most, position) => Math.max(most, position + 1), 0),
    );
    positions.forEach((position, row) => {
      this.#place(row, position, pages[row]!);
    });
    this.#setRows(positions.length);
  }

  /** Leaves only `wanted` rows, rising, to attend; keys and values are placed for all. */
  narrow(wanted: readonly number[]): void {
    const words = this.#words;
    const start = this.#layout.items / 4;
    let [from, kept] = [0, 0];
    for (let item = 0; item < this.#count; item++) {
      const at = start + item * ITEM_WORDS;
      const [row, end] = [words[at]!, words[at]! + words[at + 1]!];
      while (from < wanted.length && wanted[from]! < row) from++;
      let to = from;
      while (to < wanted.length && wanted[to]! < end) to++;
      if (to === from) continue;
      const target = start + kept++ * ITEM_WORDS;
      words.copyWithin(target, at, at + ITEM_WORDS);
      words[target] = wanted[from]!;
      words[target + 1] = wanted[to - 1]! + 1 - wanted[from]!;
    }
    this.#count = kept;
    this.#together &&= kept > 1;
  }

  /** What lies behind the memory laid out for rows is other values. `end`: the longest sequence's positions. */
  #check(rows: number, pages: number, end: number): void {
    const { entries, positions } = this.#tables;
    if (rows > LIMITS.stepRowsMax || pages > entries) {
      throw new RondoError(
        'ENGINE_FAILED',
        `a run of ${rows} rows over ${pages} pages; at most ${LIMITS.stepRowsMax} rows and ${entries} pages`,
      );
    }
    if (end > positions) {
      throw new RondoError(
        'ENGINE_FAILED',
        `a sequence of ${end} positions; the pages here hold at most ${positions}`,
      );
    }
  }

  #setRows(rows: number): void {
    this.#rows = rows;
    this.#words[this.#layout.rows / 4] = rows;
  }

  #place(row: number, position: number, page: number): void {
    this.#words[this.#layout.positions / 4 + row] = position;
    this.#words[this.#layout.pages / 4 + row] = page;
  }
}
