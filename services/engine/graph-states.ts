import type { Tensor } from 'onnxruntime-node';
import type { StackBatch } from './engine.ts';

/** Where the states lie that go through a stack which is one graph, and how they come to its padded rows and from there. */
export interface GraphStates {
  /** What a stack but the prelude reads: [B · padded, hidden]. */
  enter(batch: StackBatch, padded: number): Tensor;
  /** Takes over what the graph put out, [B · padded, hidden]. */
  leave(batch: StackBatch, padded: number, out: Tensor): LeftStates;
}

export interface LeftStates {
  /** [rows that come back · hidden] */
  readonly state: Float32Array;
  /** [H, hidden] of the rows that the batch asks the head about, where they do not come to this process. */
  readonly forHead?: Tensor;
}

/** Rows of a batch: N. */
export const rowsIn = ({ rowCounts }: StackBatch): number => rowCounts.reduce((sum, count) => sum + count, 0);

/** [N] where each row of a batch lies among the rows that chunks were padded to. */
export function paddedRows({ rowCounts }: StackBatch, padded: number): Int32Array {
  const rows: number[] = [];
  rowCounts.forEach((count, chunk) => {
    for (let row = 0; row < count; row++) rows.push(chunk * padded + row);
  });
  return Int32Array.from(rows);
}

/** Spreads flat rows of `width` values to `padded` rows a chunk. */
export function pad<Values extends Int32Array | Float32Array>(
  { input, rowCounts }: StackBatch,
  target: Values,
  width: number,
  padded: number,
): Values {
  let from = 0;
  rowCounts.forEach((rows, chunk) => {
    target.set(input.subarray(from, from + rows * width), chunk * padded * width);
    from += rows * width;
  });
  return target;
}

/** The rows of a batch, of `width` values each, out of the rows that chunks were padded to. */
export function unpad(batch: StackBatch, values: Float32Array, width: number, padded: number): Float32Array {
  const count = rowsIn(batch);
  if (values.length === count * width) return values;
  const rows = new Float32Array(count * width);
  let to = 0;
  batch.rowCounts.forEach((inChunk, chunk) => {
    const from = chunk * padded * width;
    rows.set(values.subarray(from, from + inChunk * width), to);
    to += inChunk * width;
  });
  return rows;
}
