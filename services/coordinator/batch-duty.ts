import { LIMITS } from '@rondo/core';
import { type BatchEnding, type BatchRecord, type BatchTally, isEnded } from './batch-record.ts';

/** What a batch needs next from whoever looks after it. */
export type BatchDuty =
  | { readonly do: 'nothing' }
  | { readonly do: 'read-input' }
  | { readonly do: 'seal'; readonly ending: BatchEnding }
  | { readonly do: 'write-output' };

export interface DutyView {
  readonly batch: BatchRecord;
  /** The results stored by now. */
  readonly tally: BatchTally;
  /** Lines that somebody has taken from the queue. */
  readonly taken: number;
}

/** Whether the lines of a batch that somebody has taken still count: of one that was cancelled, for `batchCancelS`. */
export const waitsForTaken = ({ status, ending, total, cancellingAt }: BatchRecord, now: number): boolean =>
  status === 'cancelling' &&
  ending === undefined &&
  total > 0 &&
  now < (cancellingAt ?? now) + LIMITS.batchCancelS;

/**
 * Every coordinator asks this of every open batch, again and again: whatever was left lying is picked up.
 * 1. A batch that has ended needs nothing.
 * 2. A sealed one needs its output.
 * 3. A cancelled one is sealed when its running lines have ended, or after `batchCancelS`.
 * 4. One whose input is not read through needs that, unless its window has closed.
 * 5. One with a result for every line is sealed, also when its window has just closed.
 * 6. One whose window has closed is sealed without the rest.
 */
export function batchDuty({ batch, tally, taken }: DutyView, now: number): BatchDuty {
  if (isEnded(batch)) return { do: 'nothing' };
  if (batch.ending !== undefined) return { do: 'write-output' };
  if (batch.status === 'cancelling') {
    return taken > 0 && waitsForTaken(batch, now) ? { do: 'nothing' } : { do: 'seal', ending: 'cancelled' };
  }
  if (batch.status === 'validating' && now < batch.expiresAt) return { do: 'read-input' };
  if (batch.total > 0 && tally.completed + tally.failed === batch.total) {
    return { do: 'seal', ending: 'completed' };
  }
  return now >= batch.expiresAt ? { do: 'seal', ending: 'expired' } : { do: 'nothing' };
}
