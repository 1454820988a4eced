import type { StackBatch } from './engine.ts';

/** Rows of a batch that run one depth: they lie side by side. */
export interface DepthGroup {
  readonly depth: number;
  readonly first: number;
  readonly rows: number;
}

/** The groups of a batch, whose depths never fall from chunk to chunk; one for each depth that it has. */
export function depthGroups({ depths, rowCounts }: Pick<StackBatch, 'depths' | 'rowCounts'>): DepthGroup[] {
  const groups: DepthGroup[] = [];
  let first = 0;
  rowCounts.forEach((rows, chunk) => {
    const [depth, last] = [depths[chunk]!, groups.at(-1)];
    if (last?.depth === depth) groups[groups.length - 1] = { ...last, rows: last.rows + rows };
    else groups.push({ depth, first, rows });
    first += rows;
  });
  return groups;
}
