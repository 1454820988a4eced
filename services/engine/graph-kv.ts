import type { Tensor } from 'onnxruntime-node';
import type { KvCopy, StackBatch } from './engine.ts';

/** The pages of a stack whose graph gathers them itself, wherever they lie. */
export interface GraphKv {
  /** As the graph takes them: [pages · layers · 2 · kvHeads, pagePositions · headDim]. */
  readonly pool: Tensor;
  copy(copies: readonly KvCopy[]): void;
  /** Writes a run's rows [layers · 2, B, kvHeads, T, headDim], T = `padded`, to their pages. */
  keep(batch: StackBatch, rows: Tensor, padded: number): void;
  release(): void;
}

/** Calls `place` with each row of a run's new K and V that belongs to a chunk: where it lies among the rows, and its slot. */
export function eachNewRow(
  { starts, rowCounts, pageTable }: StackBatch,
  { slices, kvHeads, pagePositions, padded }: NewRows,
  place: (row: number, slot: number) => void,
): void {
  const chunks = starts.length;
  const pages = pageTable.length / chunks;
  for (let chunk = 0; chunk < chunks; chunk++) {
    for (let row = 0; row < rowCounts[chunk]!; row++) {
      const position = starts[chunk]! + row;
      const page = pageTable[chunk * pages + Math.floor(position / pagePositions)]!;
      const inPage = position % pagePositions;
      for (let slice = 0; slice < slices; slice++) {
        for (let head = 0; head < kvHeads; head++) {
          place(
            ((slice * chunks + chunk) * kvHeads + head) * padded + row,
            ((page * slices + slice) * kvHeads + head) * pagePositions + inPage,
          );
        }
      }
    }
  }
}

export interface NewRows {
  /** layers · 2 */
  readonly slices: number;
  readonly kvHeads: number;
  readonly pagePositions: number;
  /** Rows that every chunk was padded to. */
  readonly padded: number;
}
