import { type ErrorCode, LIMITS, type RondoError, type Route, type WorkerId } from '@rondo/core';

/** Why a sequence had to move, as the metric says it. */
export type LossCause = (typeof LOSS_CAUSES)[number];
export const LOSS_CAUSES = ['lost', 'malformed', 'faulty', 'stuck', 'engine', 'other', 'drain'] as const;

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
  WORKER_FAULTY: 'faulty',
  WORKER_STUCK: 'stuck',
  ENGINE_FAILED: 'engine',
};

/** What tells against a worker although it pulses. */
const UNFIT: ReadonlySet<LossCause> = new Set(['faulty', 'stuck']);

export const causeOf = (error: RondoError): LossCause => CAUSES[error.code] ?? 'other';

/**
 * Whether a sequence's home itself said what it must not: what cannot answer the request, or what is badly formed. Of a staged route the
 * latter may be what one of its workers said to another, and nobody knows which.
 */
export function contradicts(error: RondoError, { stages }: Route): boolean {
  const cause = causeOf(error);
  return cause === 'faulty' || (cause === 'malformed' && stages.length === 1);
}

/**
 * Whether a sequence goes on elsewhere after its newest loss. `losses` are those since its last new token: whatever makes
 * progress goes on for ever, what makes none may be what the workers die of, and must not take all of them along.
 * `lives` tells of whom one has heard since: what a network or an operator took away did not die of a request.
 * 1. Not after it has lost `LIMITS.lossesMax` workers that nobody has heard of since, or that contradicted it or stood still: those may pulse.
 * 2. Not after `LIMITS.lossesInAllMax` losses, whatever became of the workers.
 * 3. Not after a worker has failed it twice and lived to tell: a third failure in a row would end that worker, too.
 */
export function goesOn(losses: readonly Loss[], lives: (worker: WorkerId) => boolean): boolean {
  const newest = losses.at(-1)!;
  // A process that starts again is another worker, so one that is lost twice had lived on.
  const counts = ({ worker, error }: Loss) => UNFIT.has(causeOf(error)) || !lives(worker);
  const gone = new Set(losses.filter(counts).map(({ worker }) => worker));
  if (gone.size >= LIMITS.lossesMax || losses.length >= LIMITS.lossesInAllMax) return false;
  if (causeOf(newest.error) === 'lost') return true;
  return (
    losses.filter(({ worker, error }) => worker === newest.worker && causeOf(error) !== 'lost').length < 2
  );
}
