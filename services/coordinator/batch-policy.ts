import { LIMITS } from '@rondo/core';

/** What a coordinator knows when it could start one more line of a batch. */
export interface BatchRoomView {
  readonly draining: boolean;
  /** Sequences of interactive requests that no worker had room for yet. */
  readonly interactiveWaiting: number;
  /** Interactive requests in flight, waiting ones included, and how many there may be. */
  readonly interactive: number;
  readonly inFlightMax: number;
  /** Lines of batches that run here. */
  readonly lines: number;
  /** A line that has to be alone runs, or waits for those that run here to end. */
  readonly lone: boolean;
  /** Share of all KV positions that is spoken for, 0 to 1. */
  readonly reservedShare: number;
  /** Milliseconds to go until a line may try again after one failed of what any would; 0 when none did. */
  readonly pausedForMs: number;
}

export type BatchRoomDecision =
  | 'start'
  | 'draining'
  | 'interactive-waits'
  | 'paused'
  | 'lone-line'
  | 'lines-full'
  | 'memory-full'
  | 'interactive-full';

/**
 * May one more line start? What runs is never taken back, so an interactive request waits for room no longer than one line runs; lines
 * never stand in the line of those who wait.
 * 1. Nothing starts at a coordinator that is going away.
 * 2. Nobody interactive may be waiting: whatever comes free is theirs.
 * 3. After a failure that is neither a line's nor a model's, as of NATS, all wait, longer each time. A model that has no room holds back
 *    the batches that ask for it, and no others: `BatchRunner`.
 * 4. A line that is to be alone has no other started beside it.
 * 5. At most `batchLinesInFlightMax` lines run here, and
 * 6. they leave a share of the KV memory free, so that an interactive request seldom waits at all,
 * 7. and a share of the places in flight: a busy coordinator has no time for batches.
 */
export function batchRoom(view: BatchRoomView): BatchRoomDecision {
  if (view.draining) return 'draining';
  if (view.interactiveWaiting > 0) return 'interactive-waits';
  if (view.pausedForMs > 0) return 'paused';
  if (view.lone) return 'lone-line';
  if (view.lines >= LIMITS.batchLinesInFlightMax) return 'lines-full';
  if (view.lines > 0 && view.reservedShare >= LIMITS.batchMemoryShare) return 'memory-full';
  if (view.interactive + view.lines >= view.inFlightMax * LIMITS.batchInFlightShare)
    return 'interactive-full';
  return 'start';
}

export type LineCourse = 'run' | 'run-alone' | 'give-up';

/**
 * What to do with a line that was taken from the queue `deliveries` times, this time included, and never answered. Whatever lost its
 * coordinator or its workers may have been another line beside it, so that
 * 1. beyond `batchDeliveriesMax` it is given up,
 * 2. the last two times it runs alone: a poisonous line takes others down with it twice at most, and none is blamed for it,
 * 3. before that it runs like any other.
 */
export function lineCourse(deliveries: number): LineCourse {
  if (deliveries > LIMITS.batchDeliveriesMax) return 'give-up';
  return deliveries > LIMITS.batchDeliveriesMax - 2 ? 'run-alone' : 'run';
}
