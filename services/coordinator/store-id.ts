import { randomBytes } from 'node:crypto';

/** Ids of one kind sort by the time they were made in. */
export const storeId = (kind: 'file-' | 'batch_', nowMs: number): string =>
  `${kind}${nowMs.toString(16).padStart(12, '0')}${randomBytes(8).toString('hex')}`;
