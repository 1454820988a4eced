import type { DepthRange } from '@rondo/core';

/** What of a bundle says how much K and V a sequence takes. */
export interface KvShape {
  readonly maxDepth: number;
  /** Positions of a page: a worker keeps whole ones, at each depth. */
  readonly pagePositions: number;
}

/** Positions that the pages of a sequence have room for. */
export const wholePages = (positions: number, { pagePositions }: Pick<KvShape, 'pagePositions'>): number =>
  Math.ceil(positions / pagePositions) * pagePositions;

/**
 * Cuts the passes of a sequence of `positions` over workers with `rooms` free positions of full-depth KV, in their order: each
 * takes its share by room and no more than it holds. Undefined when together they do not hold it.
 */
export function depthsByRoom(
  shape: KvShape,
  positions: number,
  rooms: readonly number[],
): DepthRange[] | undefined {
  const { maxDepth } = shape;
  const held = wholePages(positions, shape);
  const most = rooms.map((room) => Math.floor((Math.max(0, room) * maxDepth) / held));
  if (most.reduce((sum, depths) => sum + depths, 0) < maxDepth) return undefined;
  const counts = most.map(() => 0);
  for (let depth = 0; depth < maxDepth; depth++) {
    // The next pass goes where the smallest part of what fits is taken.
    const next = counts.reduce((best, count, index) => {
      const part = (count + 1) / most[index]!;
      return part <= 1 && (best < 0 || part < (counts[best]! + 1) / most[best]!) ? index : best;
    }, -1);
    counts[next]!++;
  }
  let first = 0;
  return counts.map((count) => {
    const range = { first, end: first + count };
    first += count;
    return range;
  });
}

/** The longest sequence that `rooms` hold together, cut by depth. */
export function longestOver(shape: KvShape, rooms: readonly number[]): number {
  let [holds, fails] = [0, rooms.reduce((sum, room) => sum + room, 1)];
  while (fails - holds > 1) {
    const middle = Math.floor((holds + fails) / 2);
    if (depthsByRoom(shape, middle, rooms)) holds = middle;
    else fails = middle;
  }
  return holds;
}
