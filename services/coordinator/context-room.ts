import type { Placement } from './placement.ts';

/** How many positions, prompt and answer together, a sequence may take. */
export interface ContextRoom {
  /** More is refused at the door. */
  readonly most: number;
  /** A request that names no limit takes no more than this: it fits a worker that is empty. */
  readonly usual: number;
}

/**
 * The model's context, cut to the memory of the workers, once one has come. A homed sequence cannot outgrow the largest worker; how much a
 * staged one can hold depends on its route, so it may ask for the whole context and the workers decide.
 */
export function contextRoom(
  modelContext: number,
  placement: Placement,
  workerPositions: readonly number[],
): ContextRoom {
  const largest = workerPositions.length > 0 ? Math.max(...workerPositions) : modelContext;
  const usual = Math.min(modelContext, largest);
  return { most: placement === 'homed' ? usual : modelContext, usual };
}
