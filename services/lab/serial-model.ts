import { type Bundle, kvBytesPerToken } from '@rondo/bundle';
import { concatenated, LIMITS, RondoError } from '@rondo/core';
import {
  type Attention,
  createEngine,
  type Engine,
  type KvCopy,
  type Provider,
  type Stack,
  type StackResult,
} from '@rondo/engine';

export interface SerialOptions {
  readonly threads: number;
  /** Longest sequence, in positions; sets the KV budget. */
  readonly positions: number;
  readonly attention?: Attention | undefined;
  /** The CPU by default. */
  readonly provider?: Provider | undefined;
}

/**
 * Runs one sequence at a time through a bundle: the plain reading of the model that batching,
 * paging and placement are held against. Pages lie in order: position p of depth d is in page 1 + d + R·⌊p / size⌋.
 */
export class SerialModel {
  readonly #bundle: Bundle;
  readonly #engine: Engine;
  readonly #pages: number;
  #length = 0;
  readonly #copies: KvCopy[] = [];

  private constructor(bundle: Bundle, engine: Engine, pages: number) {
    this.#bundle = bundle;
    this.#engine = engine;
    this.#pages = pages;
  }

  static async open(bundle: Bundle, options: SerialOptions): Promise<SerialModel> {
    const { manifest } = bundle;
    const { pagePositions } = manifest;
    const pages = Math.ceil(options.positions / pagePositions);
    const kvBytes = pages * pagePositions * kvBytesPerToken(manifest);
    const { threads, attention, provider = 'cpu' } = options;
    const engine = await createEngine(bundle, { threads, kvBytes, provider, attention });
    return new SerialModel(bundle, engine, pages);
  }

  /**
   * Appends one row that leaves the loop after `passes` passes, and what the bundle's kvPolicy says deeper passes see of
   * it; returns its logits [vocab]. (kvPolicy propagate needs attention over pages)
   */
  async row(id: number, passes: number): Promise<Float32Array> {
    const { manifest } = this.#bundle;
    let { state } = await this.#run('prelude', Int32Array.of(id), 0, 1);
    for (let depth = 0; depth < passes; depth++) ({ state } = await this.#run('block', state, depth, 1));
    const left = Float32Array.from(state);
    if (manifest.layers.coda > 0) ({ state } = await this.#run('coda', state, 0, 1));
    const { logits } = await this.#engine.runHead({ state, wantLogits: true });
    let deeper: Float32Array = left;
    for (let depth = passes; depth < manifest.maxDepth; depth++) {
      if (manifest.kvPolicy === 'catch-up') ({ state: deeper } = await this.#run('block', deeper, depth, 1));
      else await this.#fill(depth, passes, Float32Array.from(left));
    }
    this.#length++;
    return logits!;
  }

  /** Forgets the sequence; its pages are written again from the start. */
  reset(): void {
    this.#length = 0;
    this.#copies.length = 0;
  }

  /** Appends rows for `ids` and returns their logits [ids.length · vocab]; `onPass` sees what each pass puts out. */
  async forward(
    ids: readonly number[],
    onPass: (depth: number, result: StackResult) => void = () => {},
  ): Promise<Float32Array> {
    const { manifest } = this.#bundle;
    if (this.#length + ids.length > this.#pages * manifest.pagePositions) {
      throw new RondoError(
        'KV_EXHAUSTED',
        `${ids.length} rows after ${this.#length} exceed the serial model's pages`,
      );
    }
    const parts: Float32Array[] = [];
    for (let first = 0; first < ids.length; first += LIMITS.stepRowsMax) {
      parts.push(await this.#chunk(ids.slice(first, first + LIMITS.stepRowsMax), onPass));
    }
    return concatenated(parts);
  }

  async #chunk(
    ids: readonly number[],
    onPass: (depth: number, result: StackResult) => void,
  ): Promise<Float32Array> {
    const { manifest } = this.#bundle;
    let { state } = await this.#run('prelude', Int32Array.from(ids), 0, ids.length);
    for (let depth = 0; depth < manifest.maxDepth; depth++) {
      const result = await this.#run('block', state, depth, ids.length);
      onPass(depth, result);
      state = result.state;
    }
    if (manifest.layers.coda > 0) ({ state } = await this.#run('coda', state, 0, ids.length));
    this.#length += ids.length;
    const { logits } = await this.#engine.runHead({ state, wantLogits: true });
    return logits!;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** K/V of the last row at a depth it skipped. */
  async #fill(depth: number, passes: number, state: Float32Array): Promise<void> {
    const { kvPolicy, pagePositions } = this.#bundle.manifest;
    const page = (of: number) => this.#page('block', Math.floor(this.#length / pagePositions), of);
    if (kvPolicy === 'propagate') {
      await this.#engine.propagate({
        state,
        positions: Int32Array.of(this.#length),
        pages: Int32Array.of(page(depth)),
      });
      return;
    }
    const slot = this.#length % pagePositions;
    this.#copies.push({ fromPage: page(passes - 1), toPage: page(depth), slot, slots: 1 });
  }

  #page(stack: Stack, index: number, depth: number): number {
    return 1 + index * (stack === 'block' ? this.#bundle.manifest.maxDepth : 1) + depth;
  }

  #run(stack: Stack, input: Int32Array | Float32Array, depth: number, rows: number): Promise<StackResult> {
    const used = Math.ceil((this.#length + rows) / this.#bundle.manifest.pagePositions);
    return this.#engine.runStack({
      stack,
      input,
      starts: Int32Array.of(this.#length),
      rowCounts: Int32Array.of(rows),
      depths: Int32Array.of(depth),
      pageTable: Int32Array.from({ length: used }, (_, index) => this.#page(stack, index, depth)),
      copies: stack === 'block' ? this.#copies.splice(0) : [],
    });
  }
}
