import type { Bundle } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import {
  type Attention,
  createEngine,
  type Engine,
  type Stack,
  type StackBatch,
  type StackResult,
} from '@rondo/engine';

export interface EngineLoopOptions {
  readonly threads: number;
  /** Bytes of K and V; sequences × positions must fit. */
  readonly kvBytes: number;
  readonly attention?: Attention | undefined;
}

/** A part of one sequence that goes through the stacks in one run. */
interface Piece {
  readonly sequence: number;
  readonly start: number;
  readonly ids: ArrayLike<number>;
}

export interface LoopTimes {
  readonly prefillMs: number;
  readonly decodeMs: number;
  /** Of decodeMs, the time inside the graph runtime. */
  readonly decodeRunMs: number;
}

/**
 * Prefills and decodes a fixed set of sequences on a bare engine, every pass of every row, greedily: what the engine
 * can do when nothing around it waits.
 */
export class EngineLoop {
  readonly #bundle: Bundle;
  readonly #engine: Engine;
  /** Pages of each sequence at one depth. */
  #pages = 0;
  #runMs = 0;

  private constructor(bundle: Bundle, engine: Engine) {
    this.#bundle = bundle;
    this.#engine = engine;
  }

  /** @throws RondoError CONFIG_INVALID for a KV budget below one page, BUNDLE_INVALID for a graph that does not load. */
  static async open(bundle: Bundle, options: EngineLoopOptions): Promise<EngineLoop> {
    return new EngineLoop(bundle, await createEngine(bundle, { ...options, provider: 'cpu' }));
  }

  /**
   * Runs `prompts` (all of one length) from empty pages and then `generate` decode steps of every sequence.
   * Also returns the ids that the steps chose, [generate + 1] per sequence: the first follows from the prompt alone.
   */
  async decode(
    prompts: readonly (readonly number[])[],
    generate: number,
  ): Promise<LoopTimes & { ids: number[][] }> {
    const length = prompts[0]!.length;
    this.#pages = Math.ceil((length + generate) / this.#bundle.manifest.pagePositions);
    const begin = performance.now();
    const ids = (await this.#prefill(prompts, length)).map((id) => [id]);
    const prefilled = performance.now();
    this.#runMs = 0;
    for (let step = 0; step < generate; step++) {
      const pieces = ids.map((chosen, sequence) => ({
        sequence,
        start: length + step,
        ids: chosen.slice(-1),
      }));
      const next = await this.#chosen(pieces);
      next.forEach((id, sequence) => {
        ids[sequence]!.push(id);
      });
    }
    const decodeMs = performance.now() - prefilled;
    return { prefillMs: prefilled - begin, decodeMs, decodeRunMs: this.#runMs, ids };
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Fills each run with rows of as few sequences as it takes, chunk by chunk; returns each prompt's next id. */
  async #prefill(prompts: readonly (readonly number[])[], length: number): Promise<number[]> {
    const { prefillChunkRows, stepRowsMax } = LIMITS;
    const chunkRows = Math.max(prefillChunkRows, Math.floor(stepRowsMax / prompts.length));
    const together = Math.floor(stepRowsMax / chunkRows);
    const next: number[] = [];
    for (let first = 0; first < prompts.length; first += together) {
      const group = prompts.slice(first, first + together);
      for (let start = 0; start < length; start += chunkRows) {
        const pieces = group.map((prompt, at) => {
          return { sequence: first + at, start, ids: prompt.slice(start, start + chunkRows) };
        });
        if (start + chunkRows < length) await this.#forward(pieces, false);
        else next.push(...(await this.#chosen(pieces)));
      }
    }
    return next;
  }

  /** The most likely id after each piece. */
  async #chosen(pieces: readonly Piece[]): Promise<number[]> {
    const { head } = await this.#forward(pieces, true);
    const { topIds } = head!;
    return pieces.map((_, row) => topIds[(row * topIds.length) / pieces.length]!);
  }

  /** All passes of all pieces, and the head behind the last run on the last row of each. */
  async #forward(pieces: readonly Piece[], withHead: boolean): Promise<StackResult> {
    const { maxDepth, layers } = this.#bundle.manifest;
    const ids = Int32Array.from(pieces.flatMap((piece) => Array.from(piece.ids)));
    let end = 0;
    const lastRows = pieces.map((piece) => {
      end += piece.ids.length;
      return end - 1;
    });
    const behind = withHead
      ? { head: { rows: lastRows, wantLogits: false }, wanted: lastRows }
      : { head: undefined, wanted: [] };
    let result = await this.#run('prelude', ids, 0, pieces);
    for (let depth = 0; depth < maxDepth; depth++) {
      const last = layers.coda === 0 && depth === maxDepth - 1;
      result = await this.#run('block', result.state, depth, pieces, last ? behind : {});
    }
    return layers.coda > 0 ? this.#run('coda', result.state, 0, pieces, behind) : result;
  }

  async #run(
    stack: Stack,
    input: Int32Array | Float32Array,
    depth: number,
    pieces: readonly Piece[],
    behind: Pick<StackBatch, 'head' | 'wanted'> = {},
  ): Promise<StackResult> {
    const { maxDepth, pagePositions } = this.#bundle.manifest;
    const stride = stack === 'block' ? maxDepth : 1;
    const used = Math.max(...pieces.map(({ start, ids }) => Math.ceil((start + ids.length) / pagePositions)));
    const pageTable = new Int32Array(pieces.length * used);
    pieces.forEach(({ sequence }, at) => {
      for (let page = 0; page < used; page++) {
        pageTable[at * used + page] = 1 + (sequence * this.#pages + page) * stride + depth;
      }
    });
    const result = await this.#engine.runStack({
      stack,
      input,
      starts: Int32Array.from(pieces, ({ start }) => start),
      rowCounts: Int32Array.from(pieces, ({ ids }) => ids.length),
      depths: new Int32Array(pieces.length).fill(depth),
      pageTable,
      copies: [],
      ...behind,
    });
    this.#runMs += result.runMs + (result.head?.runMs ?? 0);
    return result;
  }
}
