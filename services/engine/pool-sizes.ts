import { kvBytesPerPosition, type Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { PoolSizes } from './engine.ts';

/**
 * Divides `kvBytes` so that homed sequences use up all three pools together: one page of prelude and coda for every
 * `maxDepth` pages of the block, plus the null page of each.
 * @throws RondoError CONFIG_INVALID when the budget does not hold one page of each.
 */
export function poolSizes(manifest: Manifest, kvBytes: number): PoolSizes {
  const { layers, maxDepth, pagePositions, shape } = manifest;
  const pageBytes = (count: number) => kvBytesPerPosition(shape, count) * pagePositions;
  const unit = pageBytes(layers.prelude) + maxDepth * pageBytes(layers.block) + pageBytes(layers.coda);
  const units = Math.floor(kvBytes / unit);
  if (units < 1) {
    throw new RondoError(
      'CONFIG_INVALID',
      `KV budget of ${kvBytes} bytes is too small: ${pagePositions} positions of this bundle take ${unit} bytes`,
    );
  }
  return {
    prelude: layers.prelude > 0 ? units + 1 : 1,
    block: units * maxDepth + 1,
    coda: layers.coda > 0 ? units + 1 : 1,
  };
}
