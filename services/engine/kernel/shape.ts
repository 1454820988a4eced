export interface KernelShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** A multiple of 4. */
  readonly headDim: number;
  /** A multiple of 4. */
  readonly pagePositions: number;
}

/** Byte addresses in the memory that the kernel shares with its owner. */
export interface KernelLayout {
  /** cos and sin of position · frequency: [positions, headDim / 2] f32 each. */
  readonly cos: number;
  readonly sin: number;
  /** [rows] i32: each row's position. */
  readonly positions: number;
  /** [rows] i32: address of the first head's slot of each row in layer 0 of its page. */
  readonly slots: number;
  /** [rows, heads + 2 · kvHeads, headDim] f32: projected queries, keys, values. */
  readonly qkv: number;
  /** [rows, heads, headDim] f32: what attention puts out. */
  readonly out: number;
  /** [items, 4] i32: first row, rows, K/V head, address of the page addresses of the sequence. */
  readonly items: number;
  /** 64 KiB pages of the memory. */
  readonly memoryPages: number;
}

/** Query rows (rows · heads of a group) of one item at most, so that its scores stay in the cache. */
const ITEM_QUERIES = 32;

export const groupOf = ({ heads, kvHeads }: KernelShape): number => heads / kvHeads;

/** Rows of one sequence that one item may take together: they share every key and value that is loaded. */
export const itemRowsMax = (shape: KernelShape): number =>
  Math.max(1, Math.floor(ITEM_QUERIES / groupOf(shape)));

/** Floats of private memory an item needs: one head's page, queries and sums of one tile, inverse totals, a score per position. */
export const scratchFloats = (shape: KernelShape, positions: number): number =>
  shape.pagePositions * shape.headDim +
  queriesMax(shape) * (2 * shape.headDim + 4 + roundUp(positions, shape.pagePositions));

export const queriesMax = (shape: KernelShape): number => itemRowsMax(shape) * groupOf(shape);

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;
