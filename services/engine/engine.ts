import type { Stack } from '@rondo/bundle';
import type { RondoError } from '@rondo/core';

export { STACKS, type Stack } from '@rondo/bundle';

/** The seam between a worker's step and whatever computes it. Nothing here knows of requests, routes or networks. */

/**
 * B chunks of consecutive rows, run together through one stack; row r of the N = Σ rowCounts is the next row of the
 * next chunk, without padding, whatever the chunks' lengths and depths. Depths never fall from one chunk to the next.
 * Chunks of one batch belong to different (sequence, depth) pairs.
 */
export interface StackBatch {
  readonly stack: Stack;
  /** prelude: token ids [N]. block and coda: states [N·hidden], without those that `places` says are on the device. */
  readonly input: Int32Array | Float32Array;
  /** [B] position of each chunk's first row; K/V of positions 0…start−1 lie in its pages. */
  readonly starts: Int32Array;
  /** [B] rows of each chunk, from 1. */
  readonly rowCounts: Int32Array;
  /** [B] depth of each chunk's pass; 0 for prelude and coda. */
  readonly depths: Int32Array;
  /** [B·P] page numbers of each chunk's (sequence, depth), long enough for start + rowCount positions, padded with 0. */
  readonly pageTable: Int32Array;
  /** K/V rows to copy before the run (an exited row's K/V for deeper passes). */
  readonly copies: readonly KvCopy[];
  /** Rows that go on to the head in the same call, which saves the way to the engine and back; not from the prelude. */
  readonly head?: HeadRequest | undefined;
  /**
   * [W] the rows whose state somebody reads behind the run, those of `head` among them, rising; all by default. Of the others
   * only K and V are sure to be computed: what comes back of them is no number, or any.
   */
  readonly wanted?: readonly number[] | undefined;
  /** Only for an engine with `stateSlots`; by default all states come with the batch and go with the result. */
  readonly places?: StatePlaces | undefined;
}

/** Which states are in slots of the engine's device: between two runs they need not come to this process and go back. */
export interface StatePlaces {
  /** [N] the slot that holds the row's state; −1: it is the next of `input`, or the prelude's. */
  readonly from: Int32Array;
  /** [N] the slot that takes the row's new state, if need be the one it came from; −1: it is the next of the result's `state`. */
  readonly to: Int32Array;
  /** Slots from this number on hold nothing that is needed behind the run. */
  readonly slots: number;
}

/** What the head is asked about rows that a stack puts out. */
export interface HeadRequest {
  /** [H] which of the batch's rows, rising; a list and no buffer, because the caller goes by it when the result comes. */
  readonly rows: readonly number[];
  /** Whether to return all logits besides the candidates. */
  readonly wantLogits: boolean;
}

/** Copies K and V of all layers at neighbouring positions from one page to the same places of another of the same stack. */
export interface KvCopy {
  readonly fromPage: number;
  readonly toPage: number;
  /** The first position within the page, 0…pagePositions−1, and how many there are, all within it. */
  readonly slot: number;
  readonly slots: number;
}

export interface StackResult {
  /** [N·hidden], without the rows that stay in slots. */
  readonly state: Float32Array;
  /** [N] λ of the exit gate, when the block graph has one. */
  readonly gate?: Float32Array;
  /** [N] relative change of the state over this pass, when the block graph tells it. */
  readonly latentDiff?: Float32Array;
  /** Time inside the graph runtime, in milliseconds; without the head's. */
  readonly runMs: number;
  /** Of the H rows that the batch asked it for. */
  readonly head?: HeadResult;
}

/** Rows that left the loop, whose K/V at the next depth are projected from their last state. (kvPolicy `propagate`) */
export interface PropagateBatch {
  /** [N·hidden] */
  readonly state: Float32Array;
  /** [N] */
  readonly positions: Int32Array;
  /** [N] the block's page that holds the row's position at the depth to fill. */
  readonly pages: Int32Array;
}

export interface HeadBatch {
  /** [N·hidden] states after the last layer, without those in slots. */
  readonly state: Float32Array;
  /** [N] as `from` of `StatePlaces`. */
  readonly slots?: Int32Array | undefined;
  /** Whether to return all logits besides the candidates. */
  readonly wantLogits: boolean;
}

export interface HeadResult {
  /** [N·C] largest logits of each row in descending order, with their ids. */
  readonly topLogits: Float32Array;
  readonly topIds: Int32Array;
  /** [N] log Σ exp(logit) over the vocabulary: logprob = logit − logSumExp. */
  readonly logSumExp: Float32Array;
  /** [N·vocab], only when asked for. */
  readonly logits?: Float32Array;
  readonly runMs: number;
}

/** One row of a head run. */
export interface HeadRow {
  /** The C largest logits in descending order, ties by lower id, with their ids. */
  readonly topLogits: Float32Array;
  readonly topIds: Int32Array;
  /** log Σ exp(logit) over the vocabulary. */
  readonly logSumExp: number;
  /** [vocab], when the head was asked for them. */
  readonly logits?: Float32Array | undefined;
}

/** Where attention is computed: over the pages where they lie, or inside the graphs, which gather them. */
export type Attention = 'pages' | 'graph';

/** Pages that each stack's pool holds; page 0 of each is the null page: what padded tables point at, never handed out. */
export interface PoolSizes {
  readonly prelude: number;
  readonly block: number;
  readonly coda: number;
}

export interface EngineDescription {
  /** The execution provider that really ran the warm-up pass. */
  readonly provider: string;
  readonly pools: PoolSizes;
  /** States that can stay on its device between runs; absent where none can. */
  readonly stateSlots?: number | undefined;
}

/** Runs one batch at a time; calls queue. Buffers handed in are transferred and must not be used again. */
export interface Engine {
  readonly description: EngineDescription;
  /** Settles, with the reason, only when it can run no more without having been closed; absent where that cannot be. */
  readonly failed?: Promise<RondoError> | undefined;
  /**
   * Takes rows through one stack, at the depth of each, and writes their K and V. What comes of a row does not depend on those beside it, but for
   * the order of sums in graphs and, with quantised weights, the bytes that this turns. (ADR 24)
   * @throws RondoError ENGINE_FAILED when the graph runtime refuses the run; K and V of its rows are unknown then.
   */
  runStack(batch: StackBatch): Promise<StackResult>;
  /** Final norm and head over rows that have left the coda. @throws RondoError ENGINE_FAILED as `runStack`. */
  runHead(batch: HeadBatch): Promise<HeadResult>;
  /** Projects K and V of exited rows at one depth. @returns milliseconds inside the engine. @throws RondoError ENGINE_FAILED as `runStack`. */
  propagate(batch: PropagateBatch): Promise<number>;
  /** For tests: overwrites pages that nobody may read any more with NaN. */
  poison(stack: Stack, pages: Int32Array): Promise<void>;
  close(): Promise<void>;
}
