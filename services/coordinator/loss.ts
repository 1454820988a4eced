import { type ErrorCode, LIMITS, type RondoError, type WorkerId } from '@rondo/core';

/** Why a sequence had to move, as the metric says it. */
export type LossCause = 'lost' | 'malformed' | 'engine' | 'other' | 'drain';

/** A worker that a sequence was lost on, with what was wrong. */
export interface Loss {
  readonly worker: WorkerId;
  readonly error: RondoError;
}

const CAUSES: Partial<Record<ErrorCode, LossCause>> = {
  WORKER_LOST: 'lost',
  // The link to the worker was closed, and with it every call on it.
  CANCELLED: 'lost',
  PROTOCOL_MISMATCH: 'malformed',
  ENGINE_FAILED: 'engine',
};

export const causeOf = (error: RondoError): LossCause => CAUSES[error.code] ?? 'other';

/**
 * Whether a sequence goes on elsewhere after its newest loss. `losses` are those since its last new token: whatever makes
 * progress goes on for ever, what makes none may be what the workers die of, and must not take all of them along.
 * 1. Not after `LIMITS.lossesMax` losses.
 * 2. Not after a worker has failed it twice and lived to tell: a third failure in a row would end that worker, too.
 */
export function goesOn(losses: readonly Loss[]): boolean {
  const newest = losses.at(-1)!;
  if (losses.length >= LIMITS.lossesMax) return false;
  if (causeOf(newest.error) === 'lost') return true;
  return (
    losses.filter(({ worker, error }) => worker === newest.worker && causeOf(error) !== 'lost').length < 2
  );
}
