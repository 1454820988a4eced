import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@rondo/chassis';
import { missingStreams, type NatsLink } from '@rondo/wire';
import { batchStreams, openBatchStores } from './batch-stores.ts';

export interface LostStoresOptions {
  readonly link: NatsLink;
  readonly silenceMs: number;
  readonly log: Logger;
}

/** How often it is looked whether all stores are there, in milliseconds. */
const LOOK_MS = 5_000;

/**
 * Makes stores of files and batches anew that NATS has lost, until `signal` is raised: it came back on an empty disk, or with one server of
 * its cluster less. What was in them is gone, and said so; what is stored from then on needs no restart.
 */
export async function mendLostStores(options: LostStoresOptions, signal: AbortSignal): Promise<void> {
  const { link, silenceMs, log } = options;
  let wake = Promise.withResolvers<void>();
  const unsubscribe = link.onConnected(() => wake.resolve());
  let told = '';
  while (!signal.aborted) {
    try {
      const streams = await missingStreams(link, batchStreams(link));
      if (streams.length > 0) {
        // The same are missing at every look for as long as they cannot be made.
        if (told !== streams.join())
          log.warn({ streams }, 'NATS has lost stores of files and batches: they are made anew, empty');
        told = streams.join();
        await openBatchStores(link, silenceMs);
      }
      told = '';
    } catch (thrown) {
      log.debug({ err: thrown }, 'the stores of files and batches could not be looked at');
    }
    await Promise.race([wake.promise, delay(LOOK_MS, undefined, { signal }).catch(() => undefined)]);
    wake = Promise.withResolvers();
  }
  unsubscribe();
}
