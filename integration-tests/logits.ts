import assert from 'node:assert/strict';
import { type Bundle, openBundle } from '@rondo/bundle';
import { SerialModel } from '@rondo/lab';

/** Logits [ids, vocab] of a bundle, or of the one at a path, run alone. */
export async function logitsOf(bundle: Bundle | string, ids: readonly number[]): Promise<Float32Array> {
  const opened = typeof bundle === 'string' ? await openBundle(bundle) : bundle;
  const model = await SerialModel.open(opened, { threads: 1, positions: Math.max(64, ids.length) });
  try {
    return await model.forward(ids);
  } finally {
    await model.close();
  }
}

/** How far values are apart at most, relative to the largest of those expected. */
export function distance(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(found.length, expected.length);
  let [worst, scale] = [0, 0];
  for (let at = 0; at < expected.length; at++) {
    worst = Math.max(worst, Math.abs(found[at]! - expected[at]!));
    scale = Math.max(scale, Math.abs(expected[at]!));
  }
  return worst / scale;
}

export function assertClose(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  tolerance: number,
): void {
  const apart = distance(found, expected);
  assert.ok(apart <= tolerance, `${what}: off by ${apart} of the largest, ${tolerance} allowed`);
}
