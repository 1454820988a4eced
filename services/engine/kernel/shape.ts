import type { NumberBytes } from './page-numbers.ts';

export interface KernelShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** A multiple of 4. */
  readonly headDim: number;
  /** A multiple of 4. */
  readonly pagePositions: number;
  readonly numberBytes: NumberBytes;
  /** Vectors of 128 bits that fit a register of the processor, if V8 joins them. */
  readonly registerVectors: 1 | 2;
}

/** Byte addresses in the memory that the kernel shares with its owner. */
export interface KernelLayout {
  /** cos and sin of position · frequency: [positions, headDim / 2] f32 each. */
  readonly cos: number;
  readonly sin: number;
  /** i32: rows at hand. */
  readonly rows: number;
  /** [rows] i32: each row's position. */
  readonly positions: number;
  /** [rows] i32: address of layer 0 of each row's page. */
  readonly pages: number;
  /** [rows, heads + 2 · kvHeads, headDim] f32: projected queries, keys, values. */
  readonly qkv: number;
  /** [rows, heads, headDim] f32: what attention puts out. */
  readonly out: number;
  /** [items, ITEM_WORDS] i32: first row, rows, first K/V head, K/V heads, address of the page addresses of the sequence. */
  readonly items: number;
  /** 64 KiB pages of the memory. */
  readonly memoryPages: number;
}

export const ITEM_WORDS = 5;

/** Bytes of keys or values of one page that an item copies at once: beside scores and queries they stay in the first cache. */
const ITEM_PAGE_BYTES = 16 * 1024;

/** Query rows (rows · heads of a group) of one item at most, so that its scores stay in the cache. */
const ITEM_QUERIES = 32;

/** Bytes of one head's keys or values at one position. */
export const slotBytes = ({ headDim, numberBytes }: KernelShape): number => headDim * numberBytes;

/** Bytes of one head's keys or values in a page. */
export const headPageBytes = (shape: KernelShape): number => shape.pagePositions * slotBytes(shape);

/** The same near at hand, as floats. */
export const tileBytes = ({ pagePositions, headDim }: KernelShape): number => pagePositions * headDim * 4;

export const groupOf = ({ heads, kvHeads }: KernelShape): number => heads / kvHeads;

/** Rows of one sequence that one item may take together: they share every key and value that is loaded. */
export const itemRowsMax = (shape: KernelShape): number =>
  Math.max(1, Math.floor(ITEM_QUERIES / groupOf(shape)));

/** K/V heads that one item may take together: their keys lie side by side in a page and are read in one go. */
export const itemHeadsMax = (shape: KernelShape): number =>
  Math.min(shape.kvHeads, Math.max(1, Math.floor(ITEM_PAGE_BYTES / tileBytes(shape))));

/** Floats of private memory an item needs: the page of its heads, queries and sums of one tile, inverse totals, a score per position. */
export const scratchFloats = (shape: KernelShape, positions: number): number =>
  (itemHeadsMax(shape) * tileBytes(shape)) / 4 +
  queriesMax(shape) * (2 * shape.headDim + 4 + roundUp(positions, shape.pagePositions));

export const queriesMax = (shape: KernelShape): number =>
  Math.max(itemRowsMax(shape), itemHeadsMax(shape)) * groupOf(shape);

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;
