import { type KvShape, longestOver } from './depth-shares.ts';
import { type Demand, maySplit } from './placement.ts';

/** How many positions, prompt and answer together, a sequence may take. */
export interface ContextRoom {
  /** More is refused at the door. */
  readonly most: number;
  /** A request that names no limit takes no more than this: it fits a worker that is there and empty. */
  readonly usual: number;
  /** The same over all workers that are there, for a prompt that leaves `usual` no room for an answer; what may not be split has no more than `usual`. */
  readonly together: number;
}

/** What of a bundle and of a request decides how long a sequence its workers can hold. */
export interface ContextNeed
  extends KvShape,
    Pick<Demand, 'placement' | 'exit' | 'kvPolicy' | 'layersAtHome'> {
  /** The model's context. */
  readonly context: number;
}

/**
 * The model's context, cut to the memory of the workers, once one has come. What may not be split cannot outgrow the largest worker; any other
 * may take what all workers hold together, cut by depth. A worker that is away (among `workerPositions`, but not among `herePositions`) may be
 * back by the time: it counts for what a request may ask, not for what it gets unasked.
 */
export function contextRoom(
  { context, ...need }: ContextNeed,
  workerPositions: readonly number[],
  herePositions: readonly number[] = workerPositions,
): ContextRoom {
  const largest = (positions: readonly number[]) =>
    positions.length === 0 ? context : Math.min(context, Math.max(...positions));
  const all = (positions: readonly number[]) =>
    maySplit(need)
      ? Math.max(largest(positions), Math.min(context, longestOver(need, positions)))
      : largest(positions);
  const here = herePositions.length === 0 ? workerPositions : herePositions;
  return { most: all(workerPositions), usual: largest(here), together: all(here) };
}
