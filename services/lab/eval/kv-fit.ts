import { kvBytesPerToken, type Manifest } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';

/** Sequences of so many positions that fit `LIMITS.evalKvBytes`. */
export const sequencesThatFit = (manifest: Manifest, positions: number): number =>
  Math.floor(LIMITS.evalKvBytes / pageBytes(manifest) / Math.ceil(positions / manifest.pagePositions));

/** Bytes of one page of every stack, of the block at every depth. */
export const pageBytes = (manifest: Manifest): number => manifest.pagePositions * kvBytesPerToken(manifest);
