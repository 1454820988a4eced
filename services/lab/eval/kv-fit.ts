import { kvBytesPerPosition, type Manifest } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';

/** Sequences of so many positions that fit `LIMITS.evalKvBytes`. */
export const sequencesThatFit = (manifest: Manifest, positions: number): number =>
  Math.floor(LIMITS.evalKvBytes / pageBytes(manifest) / Math.ceil(positions / manifest.pagePositions));

/** Bytes of one page of every stack, of the block at every depth. */
export function pageBytes({ shape, layers, maxDepth, pagePositions }: Manifest): number {
  const layerPasses = layers.prelude + maxDepth * layers.block + layers.coda;
  return pagePositions * kvBytesPerPosition(shape, layerPasses);
}
