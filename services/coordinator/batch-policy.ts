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
  /** Share of all KV positions that is spoken for, 0 to 1. */
  readonly reservedShare: number;
  /** Milliseconds to go until a line may try again after workers refused one; 0 when none did. */
  readonly refusedForMs: number;
}

export type BatchRoomDecision =
  | 'start'
  | 'draining'
  | 'interactive-waits'
  | 'refused'
  | 'lines-full'
  | 'memory-full'
  | 'interactive-full';

/**
 * May one more line start? What runs is never taken back, so an interactive request waits for room no longer than one line runs; lines
 * never stand in the line of those who wait.
 * 1. Nothing starts at a coordinator that is going away.
 * 2. Nobody interactive may be waiting: whatever comes free is theirs.
 * 3. After a refusal a line waits, longer each time: workers that are full or away are not asked without end.
 * 4. At most `batchLinesInFlightMax` lines run here, and
 * 5. they leave a share of the KV memory free, so that an interactive request seldom waits at all,
 * 6. and a share of the places in flight: a busy coordinator has no time for batches.
 */
export function batchRoom(view: BatchRoomView): BatchRoomDecision {
  if (view.draining) return 'draining';
  if (view.interactiveWaiting > 0) return 'interactive-waits';
  if (view.refusedForMs > 0) return 'refused';
  if (view.lines >= LIMITS.batchLinesInFlightMax) return 'lines-full';
  if (view.lines > 0 && view.reservedShare >= LIMITS.batchMemoryShare) return 'memory-full';
  if (view.interactive + view.lines >= view.inFlightMax * LIMITS.batchInFlightShare)
    return 'interactive-full';
  return 'start';
}
