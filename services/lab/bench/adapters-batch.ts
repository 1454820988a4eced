import type { Bundle } from '@rondo/bundle';
import { kvBytesPerPosition } from '@rondo/bundle';
import { createEngine, type Engine } from '@rondo/engine';

/** Positions of K and V that every row reads. */
export const CONTEXT = 128;

/** An engine that decodes one row of each of some sequences, which stand at different depths. */
export class MixedBatch {
  readonly #bundle: Bundle;
  readonly #engine: Engine;

  private constructor(bundle: Bundle, engine: Engine) {
    this.#bundle = bundle;
    this.#engine = engine;
  }

  static async open(bundle: Bundle, rowsMax: number, threads: number): Promise<MixedBatch> {
    const { shape, layers, pagePositions } = bundle.manifest;
    const pages = rowsMax * (CONTEXT / pagePositions) + 1;
    // The block is this bundle's only stack with K and V.
    const kvBytes =
      pages * pagePositions * kvBytesPerPosition(shape, layers.block) * bundle.manifest.maxDepth;
    return new MixedBatch(bundle, await createEngine(bundle, { threads, kvBytes, provider: 'cpu' }));
  }

  /** Runs one pass over `rows` rows, as many at each depth; returns the milliseconds inside the engine. */
  async run(rows: number): Promise<number> {
    const { shape, maxDepth, pagePositions } = this.#bundle.manifest;
    const pages = CONTEXT / pagePositions;
    const { runMs } = await this.#engine.runStack({
      stack: 'block',
      input: Float32Array.from({ length: rows * shape.hidden }, (_, at) => ((at * 7919) % 2048) / 1024 - 1),
      starts: new Int32Array(rows).fill(CONTEXT - 1),
      rowCounts: new Int32Array(rows).fill(1),
      depths: Int32Array.from({ length: rows }, (_, row) => Math.floor((row * maxDepth) / rows)),
      pageTable: Int32Array.from({ length: rows * pages }, (_, at) => 1 + at),
      copies: [],
    });
    return runMs;
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}
