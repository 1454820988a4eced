import { RondoError } from '@rondo/core';

/** What one cluster calls its things in NATS. Clusters with different prefixes share a server without seeing each other. */
export interface Subjects {
  readonly prefix: string;
  /** KV bucket: one key a worker, its announcement as the value. */
  readonly workersBucket: string;
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
  return { prefix, workersBucket: `${prefix}-workers` };
}
