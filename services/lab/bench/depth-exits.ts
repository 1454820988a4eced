import type { Bundle } from '@rondo/bundle';
import { quantile } from '../load/quantile.ts';
import { RandomStream } from '../load/random-stream.ts';
import { SerialModel } from '../serial-model.ts';

/** How rows of generated tokens leave the loop: none early, a share in % after pass 1, or by their own signal. */
export type ExitMix = 'none' | '50 %' | '75 %' | '90 %' | 'live';

const TRACE_ROWS = 64;
const LIVE_SHARE = 0.75;

/** Request fields that make request `index` leave as `mix` says; replayed depths follow from `seed`. */
export function exitFields(mix: ExitMix, index: number, seed: number, live: number): Record<string, unknown> {
  if (mix === 'none') return { exit_policy: 'none' };
  if (mix === 'live') return { exit_policy: 'latent-diff', exit_threshold: live };
  const share = Number.parseInt(mix, 10) / 100;
  const draws = new RandomStream((seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0);
  return { exit_depths: Array.from({ length: TRACE_ROWS }, () => (draws.next() < share ? 1 : 2)) };
}

/** Mean passes of the recorded rows of requests 0…`count`−1; undefined where only running tells. */
export function plannedDepth(mix: ExitMix, seed: number, maxDepth: number, count = 256): number | undefined {
  if (mix === 'none') return maxDepth;
  if (mix === 'live') return undefined;
  const traces = Array.from(
    { length: count },
    (_, index) => exitFields(mix, index, seed, 0).exit_depths as number[],
  );
  return traces.flat().reduce((sum, passes) => sum + passes, 0) / (count * TRACE_ROWS);
}

/** The relative change of the state over pass 1 that three rows in four of `ids` stay below. */
export async function liveThreshold(
  bundle: Bundle,
  threads: number,
  ids: readonly number[],
): Promise<number> {
  const model = await SerialModel.open(bundle, { threads, positions: ids.length });
  try {
    const changes: number[] = [];
    await model.forward(ids, (depth, { latentDiff }) => {
      if (depth === 0 && latentDiff) changes.push(...latentDiff);
    });
    return quantile(changes, LIVE_SHARE);
  } finally {
    await model.close();
  }
}
