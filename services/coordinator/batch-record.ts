import type { BatchEndpoint, BatchError } from './batch-lines.ts';
import type { Owner } from './owner.ts';

export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

/** How a batch comes to its end once no more answers count. */
export type BatchEnding = 'completed' | 'expired' | 'cancelled';

/** Results stored so far, up to place `seq` among the results of all batches. */
export interface BatchTally {
  readonly seq: number;
  readonly completed: number;
  readonly failed: number;
}

/** All that is stored of a batch. Times are in seconds since 1970, as OpenAI's. */
export interface BatchRecord {
  readonly id: string;
  readonly endpoint: BatchEndpoint;
  readonly inputFileId: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly owner?: Owner;
  /** W3C trace context of the call that made it, when that was sampled. */
  readonly traceparent?: string;
  readonly status: BatchStatus;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly inProgressAt?: number;
  readonly finalizingAt?: number;
  readonly cancellingAt?: number;
  /** When it came to its last status. */
  readonly endedAt?: number;
  readonly errors: readonly BatchError[];
  /** Lines of the input; 0 until they are counted. */
  readonly total: number;
  readonly tally: BatchTally;
  /** Once set no more answers count: the results up to `tally.seq` are the batch's. */
  readonly ending?: BatchEnding;
  readonly outputFileId?: string;
  readonly errorFileId?: string;
  /** The coordinator that reads the input or writes the output, and a number that it raises while it does. */
  readonly keeper: { readonly id: string; readonly beat: number };
}

export interface NewBatch
  extends Pick<
    BatchRecord,
    'id' | 'endpoint' | 'inputFileId' | 'completionWindow' | 'metadata' | 'owner' | 'traceparent'
  > {
  readonly windowS: number;
  readonly keeperId: string;
}

export const isEnded = ({ endedAt }: Pick<BatchRecord, 'endedAt'>): boolean => endedAt !== undefined;

export const newBatch = ({ windowS, keeperId, ...asked }: NewBatch, now: number): BatchRecord => ({
  ...asked,
  status: 'validating',
  createdAt: now,
  expiresAt: now + windowS,
  errors: [],
  total: 0,
  tally: { seq: 0, completed: 0, failed: 0 },
  keeper: { id: keeperId, beat: 0 },
});

/** The input cannot be used, or is gone: the end. */
export const failed = (batch: BatchRecord, errors: readonly BatchError[], now: number): BatchRecord => ({
  ...batch,
  status: 'failed',
  errors,
  endedAt: now,
});

/** All lines are in the queue. */
export const started = (batch: BatchRecord, total: number, now: number): BatchRecord => ({
  ...batch,
  status: 'in_progress',
  total,
  inProgressAt: now,
});

/** Somebody wants it no more. A batch that is coming to its end, or has, stays as it is. */
export const cancelling = (batch: BatchRecord, now: number): BatchRecord =>
  batch.status === 'validating' || batch.status === 'in_progress'
    ? { ...batch, status: 'cancelling', cancellingAt: now }
    : batch;

/** No more answers count; `keeperId` writes the output. */
export const sealed = (
  batch: BatchRecord,
  ending: BatchEnding,
  tally: BatchTally,
  keeperId: string,
  now: number,
): BatchRecord => ({
  ...batch,
  ...(ending === 'cancelled' ? {} : { status: 'finalizing' as const, finalizingAt: now }),
  ending,
  tally,
  keeper: { id: keeperId, beat: 0 },
});

/** The output is written: the end. What was not answered counts as failed, as the error file says it, too. */
export const ended = (
  batch: BatchRecord,
  files: { readonly outputFileId: string | undefined; readonly errorFileId: string | undefined },
  now: number,
): BatchRecord => {
  const { outputFileId, errorFileId } = files;
  const { tally, total, ending = 'completed' } = batch;
  return {
    ...batch,
    status: ending,
    endedAt: now,
    tally: { ...tally, failed: total - tally.completed },
    ...(outputFileId !== undefined && { outputFileId }),
    ...(errorFileId !== undefined && { errorFileId }),
  };
};

/** OpenAI's batch object. */
export function batchObject(batch: BatchRecord): object {
  const endedAs = (status: BatchStatus) => (batch.status === status ? (batch.endedAt ?? null) : null);
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    errors: batch.errors.length === 0 ? null : { object: 'list', data: batch.errors },
    input_file_id: batch.inputFileId,
    completion_window: batch.completionWindow,
    status: batch.status,
    output_file_id: batch.outputFileId ?? null,
    error_file_id: batch.errorFileId ?? null,
    created_at: batch.createdAt,
    in_progress_at: batch.inProgressAt ?? null,
    expires_at: batch.expiresAt,
    finalizing_at: batch.finalizingAt ?? null,
    completed_at: endedAs('completed'),
    failed_at: endedAs('failed'),
    expired_at: endedAs('expired'),
    cancelling_at: batch.cancellingAt ?? null,
    cancelled_at: endedAs('cancelled'),
    request_counts: { total: batch.total, completed: batch.tally.completed, failed: batch.tally.failed },
    metadata: batch.metadata,
  };
}
