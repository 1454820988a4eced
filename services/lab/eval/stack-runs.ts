import type { Bundle } from '@rondo/bundle';
import { LIMITS, RondoError } from '@rondo/core';
import { createEngine, type Engine, type KvCopy, type Stack, type StackResult } from '@rondo/engine';
import { type Head, headOf } from './head.ts';
import { pageBytes } from './kv-fit.ts';
import { PageBook } from './page-book.ts';
import { PagedSequence, type Sequence } from './paged-sequence.ts';

export interface StackRunsOptions {
  readonly threads: number;
  /** Pages of the sequences held at once, at one depth; of a coda, at all depths that rows are read after. */
  readonly pages: number;
}

/** The next rows of one sequence, which go through the stacks together. */
export interface Piece {
  readonly sequence: PagedSequence;
  readonly start: number;
  readonly rows: number;
  readonly ids: readonly number[];
}

export const pieceOf = (sequence: Sequence, ids: readonly number[]): Piece => ({
  sequence: sequence as PagedSequence,
  start: sequence.length,
  rows: ids.length,
  ids,
});

/**
 * The stacks of a bundle on a bare engine, run on pieces of sequences whose K and V lie in pages. States [rows, hidden] that are
 * given are used up. Calls must not overlap.
 */
export class StackRuns {
  readonly bundle: Bundle;
  readonly #engine: Engine;
  readonly #books: Readonly<Record<Stack, PageBook>>;
  readonly #copies: Readonly<Record<Stack, KvCopy[]>> = { prelude: [], block: [], coda: [] };

  private constructor(bundle: Bundle, engine: Engine) {
    this.bundle = bundle;
    this.#engine = engine;
    const { prelude, block, coda } = engine.description.pools;
    this.#books = { prelude: new PageBook(prelude), block: new PageBook(block), coda: new PageBook(coda) };
  }

  /** @throws RondoError CONFIG_INVALID when so many pages do not fit `LIMITS.evalKvBytes`, or from the engine. */
  static async open(bundle: Bundle, { threads, pages }: StackRunsOptions): Promise<StackRuns> {
    const kvBytes = pages * pageBytes(bundle.manifest);
    if (kvBytes > LIMITS.evalKvBytes) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${bundle.directory}: ${pages} pages take ${kvBytes} bytes of K and V, at most ${LIMITS.evalKvBytes}: choose shorter windows or fewer thresholds in the suite`,
      );
    }
    return new StackRuns(bundle, await createEngine(bundle, { threads, kvBytes, provider: 'cpu' }));
  }

  create(): PagedSequence {
    return new PagedSequence(this.bundle.manifest);
  }

  /** A sequence with the same rows. Full pages are shared; what lies in others is copied before the next run. */
  fork(source: PagedSequence): PagedSequence {
    const to = this.create();
    to.length = source.length;
    const size = this.bundle.manifest.pagePositions;
    const full = Math.floor(source.length / size);
    for (const { stack, depth, pages } of source.tables()) {
      const mine = to.table(stack, depth);
      pages.forEach((page, index) => {
        if (index < full) {
          this.#books[stack].share(page);
          mine.push(page);
          return;
        }
        const toPage = this.#books[stack].take();
        mine.push(toPage);
        this.#copies[stack].push({ fromPage: page, toPage, slot: 0, slots: source.length % size });
      });
    }
    return to;
  }

  /** Gives the pages of `sequence` back; it must not be used again. */
  release(sequence: PagedSequence): void {
    for (const { stack, pages } of sequence.tables()) {
      const freed = new Set(pages.filter((page) => this.#books[stack].giveBack(page)));
      const kept = this.#copies[stack].filter(({ toPage }) => !freed.has(toPage));
      this.#copies[stack].splice(0, Number.POSITIVE_INFINITY, ...kept);
    }
  }

  async prelude(pieces: readonly Piece[]): Promise<Float32Array> {
    const ids = Int32Array.from(pieces.flatMap((piece) => piece.ids));
    return (await this.#run('prelude', ids, 0, pieces)).state;
  }

  /** The pass at `depth`. */
  block(state: Float32Array, depth: number, pieces: readonly Piece[]): Promise<StackResult> {
    return this.#run('block', state, depth, pieces);
  }

  /** K and V of coda layers differ with the depth that the rows left at, so each has pages of its own. */
  async coda(state: Float32Array, passes: number, pieces: readonly Piece[]): Promise<Float32Array> {
    if (this.bundle.manifest.layers.coda === 0) return state;
    return (await this.#run('coda', state, passes - 1, pieces)).state;
  }

  async heads(state: Float32Array): Promise<Head[]> {
    const rows = state.length / this.bundle.manifest.shape.hidden;
    if (rows === 0) return [];
    const result = await this.#engine.runHead({ state, wantLogits: true });
    return Array.from({ length: rows }, (_, row) => headOf(result, row));
  }

  /** Writes K and V at `depth` of pieces of one row each, as states make them that no pass changes. */
  async propagate(state: Float32Array, depth: number, pieces: readonly Piece[]): Promise<void> {
    const positions = Int32Array.from(pieces, ({ start }) => start);
    const pages = Int32Array.from(pieces, (piece) => this.#pageOf(piece, depth));
    await this.#engine.propagate({ state, positions, pages });
  }

  /** Before the next run, K and V that `piece`, of one row, has at depth `from` are copied to depth `to`. */
  copy(piece: Piece, from: number, to: number): void {
    const slot = piece.start % this.bundle.manifest.pagePositions;
    const [fromPage, toPage] = [this.#pageOf(piece, from), this.#pageOf(piece, to)];
    this.#copies.block.push({ fromPage, toPage, slot, slots: 1 });
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  #run(stack: Stack, input: Int32Array | Float32Array, depth: number, pieces: readonly Piece[]) {
    const tables = pieces.map(({ sequence, start, rows }) =>
      this.#reach(sequence, stack, depth, start + rows),
    );
    const width = Math.max(...tables.map((table) => table.length));
    const pageTable = new Int32Array(pieces.length * width);
    tables.forEach((table, at) => {
      pageTable.set(table, at * width);
    });
    return this.#engine.runStack({
      stack,
      input,
      starts: Int32Array.from(pieces, ({ start }) => start),
      rowCounts: Int32Array.from(pieces, ({ rows }) => rows),
      depths: new Int32Array(pieces.length).fill(stack === 'block' ? depth : 0),
      pageTable,
      copies: this.#copies[stack].splice(0),
    });
  }

  #pageOf({ sequence, start }: Piece, depth: number): number {
    return this.#reach(sequence, 'block', depth, start + 1).at(-1)!;
  }

  /** The pages of `sequence` at a depth, enough for `positions`. */
  #reach(sequence: PagedSequence, stack: Stack, depth: number, positions: number): number[] {
    const { layers, pagePositions } = this.bundle.manifest;
    const table = sequence.table(stack, depth);
    const wanted = Math.ceil(positions / pagePositions);
    // A stack without layers has no K and V: its runs read the null page.
    while (table.length < wanted) table.push(layers[stack] > 0 ? this.#books[stack].take() : 0);
    return table;
  }
}
