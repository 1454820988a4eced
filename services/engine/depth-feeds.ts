import type { Tensor } from 'onnxruntime-node';
import type { StackBatch } from './engine.ts';
import { Int64Feed } from './int64-feed.ts';

/** [B] each: the depth of every chunk, and how many rows it has. */
export type RowsByDepth = Pick<StackBatch, 'depths' | 'rowCounts'>;

/** An input of graphs that differ by depth, whose rows lie in order of depth. */
export interface DepthFeed {
  readonly name: string;
  tensor(batch: RowsByDepth, rows: number): Tensor;
}

/** Those that are among a graph's `inputs`. */
export function depthFeeds(maxDepth: number, inputs: ReadonlySet<string>): DepthFeed[] {
  const [countFeed, rowFeed] = [new Int64Feed(), new Int64Feed()];
  const counts = new Int32Array(maxDepth);
  const all: DepthFeed[] = [
    {
      name: 'depth_rows',
      tensor: ({ depths, rowCounts }) => {
        counts.fill(0);
        depths.forEach((depth, chunk) => {
          counts[depth] = counts[depth]! + rowCounts[chunk]!;
        });
        return countFeed.tensor(counts, [maxDepth]);
      },
    },
    {
      name: 'row_depths',
      tensor: ({ depths, rowCounts }, rows) => {
        const depthOfRow = new Int32Array(rows);
        let row = 0;
        depths.forEach((depth, chunk) => {
          depthOfRow.fill(depth, row, row + rowCounts[chunk]!);
          row += rowCounts[chunk]!;
        });
        return rowFeed.tensor(depthOfRow, [rows]);
      },
    },
  ];
  return all.filter(({ name }) => inputs.has(name));
}
