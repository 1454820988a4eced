/** The seam between a worker's step and whatever computes it. Nothing here knows of requests, routes or networks. */

/** Layers with K and V of their own: before the loop, inside it, after it. */
export type Stack = 'prelude' | 'block' | 'coda';

/**
 * Chunks of up to T rows each, run together through one stack. B chunks are padded to T = max(rowCounts).
 * Chunks of one batch belong to different (sequence, depth) pairs: a chunk never reads K/V of its own batch.
 */
export interface StackBatch {
  readonly stack: Stack;
  /** prelude: token ids [B·T] (padding 0). block and coda: states [B·T·hidden] (padding 0). */
  readonly input: Int32Array | Float32Array;
  /** [B] position of each chunk's first row; K/V of positions 0…start−1 lie in its pages. */
  readonly starts: Int32Array;
  /** [B] valid rows of each chunk, 1…T. */
  readonly rowCounts: Int32Array;
  /** [B] depth of each chunk's pass; 0 for prelude and coda. */
  readonly depths: Int32Array;
  /** [B·P] page numbers of each chunk's (sequence, depth), long enough for start + rowCount positions, padded with 0. */
  readonly pageTable: Int32Array;
  /** Pages never written since they were freed; the engine clears them first. */
  readonly freshPages: Int32Array;
  /** K/V rows to copy before the run (an exited row's K/V for deeper passes). */
  readonly copies: readonly KvCopy[];
}

/** Copies K and V of all layers at one position slot from one page to another of the same stack. */
export interface KvCopy {
  readonly fromPage: number;
  readonly toPage: number;
  /** Position within the page, 0…pagePositions−1. */
  readonly slot: number;
}

export interface StackResult {
  /** [B·T·hidden]; padding rows hold no meaning. */
  readonly state: Float32Array;
  /** [B·T] λ of the exit gate, when the block graph has one. */
  readonly gate?: Float32Array;
  /** [B·T] relative change of the state over this pass, when the block graph tells it. */
  readonly latentDiff?: Float32Array;
  /** Time inside the graph runtime, in milliseconds. */
  readonly runMs: number;
}

export interface HeadBatch {
  /** [N·hidden] states after the last layer. */
  readonly state: Float32Array;
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

/** Pages that each stack's pool holds; page 0 of each is the null page: always zero, never handed out. */
export interface PoolSizes {
  readonly prelude: number;
  readonly block: number;
  readonly coda: number;
}

export interface EngineDescription {
  /** The execution provider that really ran the warm-up pass. */
  readonly provider: string;
  readonly threads: number;
  readonly pools: PoolSizes;
}

/** Runs one batch at a time; calls queue. Buffers handed in are transferred and must not be used again. */
export interface Engine {
  readonly description: EngineDescription;
  runStack(batch: StackBatch): Promise<StackResult>;
  runHead(batch: HeadBatch): Promise<HeadResult>;
  close(): Promise<void>;
}
