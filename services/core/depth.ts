/** Depths `first` (inclusive) to `end` (exclusive) of a model with `end - first` passes in the range. */
export interface DepthRange {
  readonly first: number;
  readonly end: number;
}

export const passesIn = (range: DepthRange): number => range.end - range.first;

export const contains = (range: DepthRange, depth: number): boolean =>
  depth >= range.first && depth < range.end;

/**
 * Cuts `maxDepth` passes into `count` contiguous ranges whose lengths differ by at most one, the longer first.
 * `count` is capped at `maxDepth`: a stage without a pass would be a hop for nothing.
 */
export function splitDepths(maxDepth: number, count: number): DepthRange[] {
  const stages = Math.max(1, Math.min(count, maxDepth));
  const ranges: DepthRange[] = [];
  let first = 0;
  for (let index = 0; index < stages; index++) {
    const end = first + Math.ceil((maxDepth - first) / (stages - index));
    ranges.push({ first, end });
    first = end;
  }
  return ranges;
}
