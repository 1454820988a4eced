import { RondoError } from '@rondo/core';

/** Raised by one with every change of proto/rondo/v1 that an older peer would misread. */
export const PROTOCOL_REVISION = 5;

/** Throws PROTOCOL_MISMATCH unless the peer speaks our revision. */
export function checkRevision(revision: number, peer: string): void {
  if (revision === PROTOCOL_REVISION) return;
  throw new RondoError(
    'PROTOCOL_MISMATCH',
    `${peer} speaks protocol revision ${revision}, this process ${PROTOCOL_REVISION}: run the same Rondo version on both`,
  );
}
