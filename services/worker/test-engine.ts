import {
  type Engine,
  type EngineDescription,
  type HeadBatch,
  type HeadResult,
  type PoolSizes,
  type PropagateBatch,
  pickRows,
  type Stack,
  type StackBatch,
  type StackResult,
  type StatePlaces,
} from '@rondo/engine';
import {
  CANDIDATES,
  embed,
  gateOf,
  HIDDEN,
  headOf,
  keyOf,
  latentDiffOf,
  passRow,
  type TestShape,
  VOCAB,
} from './test-model.ts';

const PAGE_POSITIONS = 16;

type Page = (readonly number[] | undefined)[];

/**
 * The test model behind the engine's seam, with K in real pages. It throws where an engine would silently compute
 * nonsense: a slot read before its owner wrote it, the null page written, a page in two chunks of one batch, depths out
 * of order.
 */
export class TestEngine implements Engine {
  readonly description: EngineDescription;
  readonly batches: StackBatch[] = [];
  /** Runs of the head that were calls of their own. */
  headCalls = 0;
  /** Runs of the head that were asked for all logits. */
  logitRuns = 0;
  /** Runs wait for it: lets a test look at a worker in the middle of a step. */
  gate: Promise<unknown> = Promise.resolve();
  /** Runs fail with it while it is set. */
  failure: Error | undefined;
  closed = false;
  /** Rows that came from a slot, and rows that stayed in one. */
  readonly slotRows = { read: 0, written: 0 };
  #slots: number[][] = [];
  readonly #layers: Record<Stack, number>;
  readonly #pages: Record<Stack, Page[]>;

  constructor(shape: TestShape, pools: Partial<PoolSizes> = {}, stateSlots?: number) {
    const sizes: PoolSizes = {
      prelude: shape.prelude > 0 ? 65 : 1,
      block: 64 * shape.maxDepth + 1,
      coda: shape.coda > 0 ? 65 : 1,
      ...pools,
    };
    const stays = stateSlots !== undefined && { stateSlots };
    this.description = { provider: 'test', pools: sizes, ...stays };
    this.#layers = { prelude: shape.prelude, block: 1, coda: shape.coda };
    const blank = (count: number): Page[] => Array.from({ length: count }, () => []);
    this.#pages = { prelude: blank(sizes.prelude), block: blank(sizes.block), coda: blank(sizes.coda) };
  }

  async runStack(batch: StackBatch): Promise<StackResult> {
    await this.#enter();
    this.batches.push(batch);
    const { stack } = batch;
    const pages = this.#pages[stack];
    for (const { fromPage, toPage, slot, slots } of batch.copies)
      for (let at = slot; at < slot + slots; at++) pages[toPage]![at] = this.#read(stack, fromPage, at);
    if (batch.depths.some((depth, chunk) => depth < (batch.depths[chunk - 1] ?? 0)))
      throw new Error(`depths ${[...batch.depths]} fall`);
    const rows = batch.rowCounts.reduce((sum, count) => sum + count, 0);
    const state = new Float32Array(rows * HIDDEN);
    const [gate, latentDiff] = [new Float32Array(rows), new Float32Array(rows)];
    const states =
      stack === 'prelude' ? state : this.#collected(batch.input as Float32Array, batch.places?.from);
    const written = new Set<string>();
    let at = 0;
    for (let chunk = 0; chunk < batch.starts.length; chunk++) {
      for (let row = 0; row < batch.rowCounts[chunk]!; row++, at++) {
        const input =
          batch.stack === 'prelude'
            ? embed(batch.input[at]!)
            : [...states.subarray(at * HIDDEN, (at + 1) * HIDDEN)];
        const after = this.#layers[stack] > 0 ? this.#passRow(batch, chunk, row, input, written) : input;
        state.set(after, at * HIDDEN);
        gate[at] = gateOf(after);
        latentDiff[at] = latentDiffOf(input, after);
      }
    }
    // Whoever reads a row that he said nobody reads shall not get far.
    const { wanted } = batch;
    for (let row = 0; wanted && row < rows; row++) {
      if (wanted.includes(row)) continue;
      for (const values of [state, gate, latentDiff]) {
        const width = values.length / rows;
        values.fill(Number.NaN, row * width, (row + 1) * width);
      }
    }
    const head = batch.head && this.#head(pickRows(state, batch.head.rows, HIDDEN), batch.head.wantLogits);
    const comesBack = batch.places ? this.#keep(state, batch.places) : state;
    return {
      state: comesBack,
      ...(stack === 'block' && { gate, latentDiff }),
      ...(head && { head }),
      runMs: 1,
    };
  }

  async propagate({ state, positions, pages }: PropagateBatch): Promise<number> {
    await this.#enter();
    positions.forEach((position, row) => {
      const exited = [...state.subarray(row * HIDDEN, (row + 1) * HIDDEN)];
      this.#pages.block[pages[row]!]![position % PAGE_POSITIONS] = keyOf(exited);
    });
    return 1;
  }

  async poison(stack: Stack, pages: Int32Array): Promise<void> {
    for (const page of pages) this.#pages[stack][page] = [];
  }

  async runHead({ state, slots, wantLogits }: HeadBatch): Promise<HeadResult> {
    await this.#enter();
    this.headCalls++;
    return this.#head(this.#collected(state, slots), wantLogits);
  }

  /** States of all rows: of those in slots from there, of the others from `here` in their order. */
  #collected(here: Float32Array, from?: Int32Array): Float32Array {
    if (!from) return here;
    const all = new Float32Array(from.length * HIDDEN);
    let next = 0;
    from.forEach((slot, row) => {
      if (slot >= 0 && !this.#slots[slot]) throw new Error(`slot ${slot} is read but holds nothing`);
      all.set(slot >= 0 ? this.#slots[slot]! : here.subarray(next, next + HIDDEN), row * HIDDEN);
      if (slot < 0) next += HIDDEN;
      else this.slotRows.read++;
    });
    if (next !== here.length)
      throw new Error(`${here.length / HIDDEN} states came, ${next / HIDDEN} belong to rows`);
    return all;
  }

  /** Leaves states in their slots and forgets what nobody needs any more; returns the others. */
  #keep(state: Float32Array, { to, slots }: StatePlaces): Float32Array {
    const back: number[] = [];
    to.forEach((slot, row) => {
      const values = state.subarray(row * HIDDEN, (row + 1) * HIDDEN);
      if (slot < 0) back.push(...values);
      else this.#slots[slot] = [...values];
      if (slot >= slots) throw new Error(`slot ${slot} of ${slots}`);
      if (slot >= 0) this.slotRows.written++;
    });
    this.#slots.length = Math.min(this.#slots.length, slots);
    return Float32Array.from(back);
  }

  #head(state: Float32Array, wantLogits: boolean): HeadResult {
    if (wantLogits) this.logitRuns++;
    const rows = Array.from({ length: state.length / HIDDEN }, (_, row) =>
      headOf([...state.subarray(row * HIDDEN, (row + 1) * HIDDEN)], wantLogits),
    );
    const topLogits = new Float32Array(rows.length * CANDIDATES);
    const topIds = new Int32Array(rows.length * CANDIDATES);
    const logits = new Float32Array(wantLogits ? rows.length * VOCAB : 0);
    rows.forEach((row, index) => {
      topLogits.set(row.topLogits, index * CANDIDATES);
      topIds.set(row.topIds, index * CANDIDATES);
      if (row.logits) logits.set(row.logits, index * VOCAB);
    });
    const logSumExp = Float32Array.from(rows, (row) => row.logSumExp);
    return { topLogits, topIds, logSumExp, ...(wantLogits && { logits }), runMs: 1 };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async #enter(): Promise<void> {
    await this.gate;
    if (this.failure) throw this.failure;
  }

  #passRow(
    batch: StackBatch,
    chunk: number,
    row: number,
    input: readonly number[],
    written: Set<string>,
  ): readonly number[] {
    const { stack } = batch;
    const perChunk = batch.pageTable.length / batch.starts.length;
    const pageOf = (position: number): number =>
      batch.pageTable[chunk * perChunk + Math.floor(position / PAGE_POSITIONS)] ?? 0;
    const position = batch.starts[chunk]! + row;
    const past = Array.from({ length: position }, (_, earlier) =>
      this.#read(stack, pageOf(earlier), earlier % PAGE_POSITIONS),
    );
    const page = pageOf(position);
    const slot = position % PAGE_POSITIONS;
    if (page === 0) throw new Error(`${stack}: position ${position} has no page`);
    if (written.has(`${page} ${slot}`))
      throw new Error(`${stack}: page ${page} is written by two chunks of one batch`);
    written.add(`${page} ${slot}`);
    this.#pages[stack][page]![slot] = keyOf(input);
    return passRow(stack, batch.depths[chunk]!, input, past);
  }

  #read(stack: Stack, page: number, slot: number): readonly number[] {
    const key = this.#pages[stack][page]?.[slot];
    if (!key || page === 0)
      throw new Error(`${stack}: slot ${slot} of page ${page} is read but was never written`);
    return key;
  }
}
