import type { Bundle } from '@rondo/bundle';
import { decideExit, type ExitRule, LIMITS, RondoError, survive } from '@rondo/core';
import { createEngine, type Engine, type KvCopy, type Stack } from '@rondo/engine';
import { type Head, headOf } from './head.ts';
import { pageBytes } from './kv-fit.ts';
import { PageBook } from './page-book.ts';
import { PagedSequence, type Sequence } from './paged-sequence.ts';

export interface SequencesOptions {
  readonly threads: number;
  /** Pages of the sequences held at once, at one depth; of a coda, at all depths that rows are read after. */
  readonly pages: number;
}

/** The next rows of one sequence. */
export interface Append {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  /** How many of the last of these rows go through the head. */
  readonly heads: number;
}

/** The next row of one sequence, which leaves the loop when its rule says so. */
export interface Decode {
  readonly sequence: Sequence;
  readonly id: number;
  readonly rule: ExitRule;
}

export interface Decoded {
  /** Passes that the row spent. */
  readonly passes: number;
  readonly head: Head;
}

/**
 * Many sequences side by side on a bare engine: the model as it is served, without what serving needs. Rows of a prompt
 * run every pass, and the model may be read after each of them; decoded rows leave by their rule, and deeper passes see of
 * them what the bundle's kvPolicy says. Calls must not overlap.
 */
export class Sequences {
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
  static async open(bundle: Bundle, { threads, pages }: SequencesOptions): Promise<Sequences> {
    const kvBytes = pages * pageBytes(bundle.manifest);
    if (kvBytes > LIMITS.evalKvBytes) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${bundle.directory}: ${pages} pages take ${kvBytes} bytes of K and V, at most ${LIMITS.evalKvBytes}: choose shorter windows or fewer thresholds in the suite`,
      );
    }
    return new Sequences(bundle, await createEngine(bundle, { threads, kvBytes, provider: 'cpu' }));
  }

  create(): Sequence {
    return new PagedSequence(this.bundle.manifest);
  }

  /** A sequence with the same rows. Full pages are shared; what lies in others is copied before the next run. */
  fork(from: Sequence): Sequence {
    const source = from as PagedSequence;
    const to = new PagedSequence(this.bundle.manifest);
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
        for (let slot = 0; slot < source.length % size; slot++)
          this.#copies[stack].push({ fromPage: page, toPage, slot });
      });
    }
    return to;
  }

  /** Gives the pages of `sequence` back; it must not be used again. */
  release(sequence: Sequence): void {
    for (const { stack, pages } of (sequence as PagedSequence).tables()) {
      const freed = new Set(pages.filter((page) => this.#books[stack].giveBack(page)));
      const kept = this.#copies[stack].filter(({ toPage }) => !freed.has(toPage));
      this.#copies[stack].splice(0, Number.POSITIVE_INFINITY, ...kept);
    }
  }

  /**
   * Appends rows, at most `LIMITS.evalRows` in all, that run every pass. After each number of passes in `exits` (rising) `read` is
   * told what the head says of the last `heads` rows of each append, in order, as if the loop ended there for all rows.
   */
  async append(
    appends: readonly Append[],
    exits: readonly number[],
    read: (passes: number, heads: readonly Head[]) => void,
  ): Promise<void> {
    const { maxDepth } = this.bundle.manifest;
    const pieces = appends.map(({ sequence, ids }) => pieceOf(sequence, ids));
    let state = await this.#prelude(pieces);
    for (let passes = 1; passes <= maxDepth; passes++) {
      const pass = await this.#run('block', state, passes - 1, pieces);
      state = pass.state;
      if (!exits.includes(passes)) continue;
      const keep = Float32Array.from(state);
      const signals = lastRows(appends).map((row) => ({
        gate: pass.gate?.[row],
        latentDiff: pass.latentDiff?.[row],
      }));
      const last = await this.#coda(state, passes, pieces);
      const heads = await this.#heads(this.#lastStates(last, appends));
      read(
        passes,
        heads.map((head, at) => ({ ...head, ...signals[at] })),
      );
      state = keep;
    }
    for (const { sequence, rows } of pieces) sequence.length += rows;
  }

  /** Appends one row each, all of different sequences, whose exits are live. */
  async decode(decodes: readonly Decode[]): Promise<Decoded[]> {
    const { maxDepth } = this.bundle.manifest;
    const pieces = decodes.map(({ sequence, id }) => pieceOf(sequence, [id]));
    const states = await this.#prelude(pieces);
    const rows = decodes.map(({ rule }, at): Row => ({ rule, piece: pieces[at]!, survival: 1, passes: 0 }));
    rows.forEach((row, at) => {
      row.state = this.#rowOf(states, at);
    });
    for (let passes = 1; passes <= maxDepth; passes++) {
      const live = rows.filter((row) => !row.head);
      if (live.length > 0) await this.#pass(live, passes);
    }
    await this.#leaveBehind(rows);
    for (const { sequence } of pieces) sequence.length++;
    return rows.map(({ passes, head }) => ({ passes, head: head! }));
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Runs pass number `passes` of `live` rows and settles those that leave. */
  async #pass(live: readonly Row[], passes: number): Promise<void> {
    const { hidden } = this.bundle.manifest.shape;
    const pieces = live.map(({ piece }) => piece);
    const { state, gate, latentDiff } = await this.#run('block', joined(live, hidden), passes - 1, pieces);
    const leaving: Row[] = [];
    const asking: Row[] = [];
    live.forEach((row, at) => {
      row.state = this.#rowOf(state, at);
      row.passes = passes;
      if (gate) row.survival = survive(row.survival, gate[at]!);
      row.latentDiff = latentDiff?.[at];
      const decision = decideExit(row.rule, passes, { ...row, row: 0 });
      if (decision === 'exit') leaving.push(row);
      if (decision === 'ask-head') asking.push(row);
    });
    const read = [...leaving, ...asking];
    if (read.length === 0) return;
    const { maxDepth } = this.bundle.manifest;
    const last = await this.#coda(
      joined(read, hidden),
      maxDepth,
      read.map(({ piece }) => piece),
    );
    const heads = await this.#heads(last);
    read.forEach((row, at) => {
      const head = heads[at]!;
      const confidence = Math.exp(head.logits[head.topId]! - head.logSumExp);
      const sure =
        at < leaving.length || decideExit(row.rule, passes, { ...row, confidence, row: 0 }) === 'exit';
      if (sure) row.head = head;
    });
  }

  /** K and V of rows at the depths that they have not run. */
  async #leaveBehind(rows: readonly Row[]): Promise<void> {
    const { maxDepth, kvPolicy, pagePositions, shape } = this.bundle.manifest;
    const page = ({ sequence, start }: Piece, depth: number) =>
      this.#reach(sequence, 'block', depth, start + 1).at(-1)!;
    for (let depth = 1; depth < maxDepth; depth++) {
      const left = rows.filter(({ passes }) => passes <= depth);
      if (left.length === 0) continue;
      const pieces = left.map(({ piece }) => piece);
      if (kvPolicy === 'last-exited') {
        for (const { piece, passes } of left) {
          const slot = piece.start % pagePositions;
          this.#copies.block.push({ fromPage: page(piece, passes - 1), toPage: page(piece, depth), slot });
        }
        continue;
      }
      const state = joined(left, shape.hidden);
      if (kvPolicy === 'propagate') {
        const positions = Int32Array.from(pieces, ({ start }) => start);
        const pages = Int32Array.from(pieces, (piece) => page(piece, depth));
        await this.#engine.propagate({ state, positions, pages });
        continue;
      }
      const result = await this.#run('block', state, depth, pieces);
      left.forEach((row, at) => {
        row.state = this.#rowOf(result.state, at);
      });
    }
  }

  async #prelude(pieces: readonly Piece[]): Promise<Float32Array> {
    const ids = Int32Array.from(pieces.flatMap(({ ids }) => ids));
    return (await this.#run('prelude', ids, 0, pieces)).state;
  }

  /** K and V of coda layers differ with the depth that the rows left at, so each has pages of its own. */
  async #coda(state: Float32Array, passes: number, pieces: readonly Piece[]): Promise<Float32Array> {
    if (this.bundle.manifest.layers.coda === 0) return state;
    return (await this.#run('coda', state, passes - 1, pieces)).state;
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

  /** The pages of `sequence` at a depth, enough for `positions`. */
  #reach(sequence: PagedSequence, stack: Stack, depth: number, positions: number): number[] {
    const { layers, pagePositions } = this.bundle.manifest;
    const table = sequence.table(stack, depth);
    const wanted = Math.ceil(positions / pagePositions);
    // A stack without layers has no K and V: its runs read the null page.
    while (table.length < wanted) table.push(layers[stack] > 0 ? this.#books[stack].take() : 0);
    return table;
  }

  async #heads(state: Float32Array): Promise<Head[]> {
    const rows = state.length / this.bundle.manifest.shape.hidden;
    if (rows === 0) return [];
    const result = await this.#engine.runHead({ state, wantLogits: true });
    return Array.from({ length: rows }, (_, row) => headOf(result, row));
  }

  /** States [Σ heads · hidden] of the last rows of each append. */
  #lastStates(state: Float32Array, appends: readonly Append[]): Float32Array {
    const { hidden } = this.bundle.manifest.shape;
    const rows = lastRows(appends);
    const last = new Float32Array(rows.length * hidden);
    rows.forEach((row, at) => {
      last.set(state.subarray(row * hidden, (row + 1) * hidden), at * hidden);
    });
    return last;
  }

  #rowOf(states: Float32Array, row: number): Float32Array {
    const { hidden } = this.bundle.manifest.shape;
    return states.slice(row * hidden, (row + 1) * hidden);
  }
}

interface Piece {
  readonly sequence: PagedSequence;
  readonly start: number;
  readonly rows: number;
  readonly ids: readonly number[];
}

/** Of the rows of all appends, which the head is asked about. */
function lastRows(appends: readonly Append[]): number[] {
  let end = 0;
  return appends.flatMap(({ ids, heads }) => {
    end += ids.length;
    return Array.from({ length: heads }, (_, at) => end - heads + at);
  });
}

const pieceOf = (sequence: Sequence, ids: readonly number[]): Piece => ({
  sequence: sequence as PagedSequence,
  start: sequence.length,
  rows: ids.length,
  ids,
});

/** A row on its way through the loop. */
interface Row {
  readonly rule: ExitRule;
  readonly piece: Piece;
  passes: number;
  survival: number;
  latentDiff?: number | undefined;
  state?: Float32Array;
  /** Once it has left. */
  head?: Head;
}

function joined(rows: readonly Row[], hidden: number): Float32Array {
  const states = new Float32Array(rows.length * hidden);
  rows.forEach(({ state }, at) => {
    states.set(state!, at * hidden);
  });
  return states;
}
