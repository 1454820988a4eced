import { RondoError } from '@rondo/core';

/** What one cluster calls its things in NATS. Clusters with different prefixes share a server without seeing each other. */
export interface Subjects {
  readonly prefix: string;
  /** KV bucket: one key a worker, its announcement as the value. */
  readonly workersBucket: string;
  /** Object store: the bytes of files, by file id. */
  readonly contentsBucket: string;
  /** KV bucket: what is known of each file. */
  readonly filesBucket: string;
  /** KV buckets: batches before and after their end. */
  readonly openBatchesBucket: string;
  readonly endedBatchesBucket: string;
  /** Work queue: a subject `<batch>.<line>` below this for each line to answer. */
  readonly batchLines: StreamNames;
  /** Stream: the answer to each line, under the same subject below this. */
  readonly batchResults: StreamNames;
}

export interface StreamNames {
  readonly stream: string;
  /** What its subjects begin with. */
  readonly subject: string;
}

export const DEFAULT_NATS_PREFIX = 'rondo';

/**
 * The table of subjects, buckets and streams under `prefix`.
 * @throws RondoError CONFIG_INVALID for a prefix that NATS could read as more than one word.
 */
export function subjectsUnder(prefix: string): Subjects {
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `NATS prefix '${prefix}': expected 1 to 32 letters, digits, '_' or '-', such as ${DEFAULT_NATS_PREFIX}`,
    );
  }
  return {
    prefix,
    workersBucket: `${prefix}-workers`,
    contentsBucket: `${prefix}-contents`,
    filesBucket: `${prefix}-files`,
    openBatchesBucket: `${prefix}-batches-open`,
    endedBatchesBucket: `${prefix}-batches-ended`,
    batchLines: { stream: `${prefix}-batch-lines`, subject: `${prefix}.batch.lines` },
    batchResults: { stream: `${prefix}-batch-results`, subject: `${prefix}.batch.results` },
  };
}
