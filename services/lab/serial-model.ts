import type { Bundle } from '@rondo/bundle';
import { LIMITS, RondoError } from '@rondo/core';
import { type Attention, createEngine, type Engine, type Stack, type StackResult } from '@rondo/engine';

export interface SerialOptions {
  readonly threads: number;
  /** Longest sequence, in positions; sets the KV budget. */
  readonly positions: number;
  readonly attention?: Attention | undefined;
}

/**
 * Runs one sequence at a time through a bundle, every pass of every row: the plain reading of the model that batching,
 * paging and placement are held against. Pages lie in order: position p of depth d is in page 1 + d + R·⌊p / size⌋.
 */
export class SerialModel {
  readonly #bundle: Bundle;
  readonly #engine: Engine;
  readonly #pages: number;
  #length = 0;

  private constructor(bundle: Bundle, engine: Engine, pages: number) {
    this.#bundle = bundle;
    this.#engine = engine;
    this.#pages = pages;
  }

  static async open(bundle: Bundle, options: SerialOptions): Promise<SerialModel> {
    const { manifest } = bundle;
    const { layers, maxDepth, pagePositions, shape } = manifest;
    const pages = Math.ceil(options.positions / pagePositions);
    const layerPasses = layers.prelude + maxDepth * layers.block + layers.coda;
    const kvBytes = pages * pagePositions * layerPasses * 2 * shape.kvHeads * shape.headDim * 4;
    const { threads, attention } = options;
    const engine = await createEngine(bundle, { threads, kvBytes, provider: 'cpu', attention });
    return new SerialModel(bundle, engine, pages);
  }

  /** Forgets the sequence; its pages are written again from the start. */
  reset(): void {
    this.#length = 0;
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
    return parts.length === 1 ? parts[0]! : concatenated(parts);
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

  #run(stack: Stack, input: Int32Array | Float32Array, depth: number, rows: number): Promise<StackResult> {
    const stride = stack === 'block' ? this.#bundle.manifest.maxDepth : 1;
    const used = Math.ceil((this.#length + rows) / this.#bundle.manifest.pagePositions);
    return this.#engine.runStack({
      stack,
      input,
      starts: Int32Array.of(this.#length),
      rowCounts: Int32Array.of(rows),
      depths: Int32Array.of(depth),
      pageTable: Int32Array.from({ length: used }, (_, page) => 1 + page * stride + depth),
      copies: [],
    });
  }
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
