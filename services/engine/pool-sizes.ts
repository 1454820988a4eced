import { kvBytesPerPosition, kvNumberBytes, type Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { Attention, PoolSizes } from './engine.ts';
import type { NumberBytes } from './kernel/page-numbers.ts';

const FLOAT_BYTES = 4;

/** Of a number of K and V. */
export const numberBytesOf = (manifest: Manifest, attention: Attention): NumberBytes =>
  attention === 'graph' ? FLOAT_BYTES : kvNumberBytes(manifest);

/**
 * Divides `kvBytes` so that homed sequences use up all three pools together: one page of prelude and coda for every
 * `maxDepth` pages of the block, plus the null page of each.
 * @throws RondoError CONFIG_INVALID when the budget does not hold one page of each.
 */
export function poolSizes(
  manifest: Manifest,
  kvBytes: number,
  numberBytes: NumberBytes = FLOAT_BYTES,
): PoolSizes {
  const { layers, maxDepth, pagePositions, shape } = manifest;
  const pageBytes = (count: number) =>
    (kvBytesPerPosition(shape, count) / FLOAT_BYTES) * numberBytes * pagePositions;
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
