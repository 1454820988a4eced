import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import type { LoadClient } from './load-client.ts';
import { RandomStream } from './random-stream.ts';
import type { RequestRecord } from './request-record.ts';
import type { Workload } from './workload.ts';

export interface OpenLoopOptions {
  readonly client: LoadClient;
  readonly workload: Workload;
  /** Mean arrivals in a second. */
  readonly ratePerS: number;
  /** Requests arrive for so long; then the last are waited for. */
  readonly forMs: number;
  /** Seed of the arrival times. */
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly onRecord?: (record: RequestRecord) => void;
}

/** Arrival times of a Poisson process in [0, forMs), in milliseconds. */
export function arrivals(ratePerS: number, forMs: number, seed: number): number[] {
  const draws = new RandomStream(seed);
  const times: number[] = [];
  for (let at = draws.exponential(ratePerS / 1000); at < forMs; at += draws.exponential(ratePerS / 1000)) {
    times.push(at);
  }
  return times;
}

/**
 * Sends requests when they arrive, whatever has become of the earlier ones: a slow server meets a longer queue, not a
 * slower client. Returns all records, in the order in which they ended.
 */
export async function openLoop(options: OpenLoopOptions): Promise<RequestRecord[]> {
  const { client, workload, signal } = options;
  const records: RequestRecord[] = [];
  const running: Promise<void>[] = [];
  const begin = performance.now();
  for (const [index, at] of arrivals(options.ratePerS, options.forMs, options.seed).entries()) {
    const wait = begin + at - performance.now();
    if (wait > 0) await delay(wait, undefined, { ...(signal && { signal }) }).catch(() => undefined);
    // Late ones leave one a turn: a burst in one go would read no answers meanwhile, and be later still.
    else await setImmediate();
    if (signal?.aborted) break;
    running.push(
      client.send(workload.request(index), signal).then((record) => {
        records.push(record);
        options.onRecord?.(record);
      }),
    );
  }
  await Promise.all(running);
  return records;
}
