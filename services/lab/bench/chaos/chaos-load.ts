import { setTimeout as delay } from 'node:timers/promises';
import { RandomStream } from '../../load/random-stream.ts';
import { ChaosClient, type ChaosRecord } from './chaos-client.ts';
import type { KnownRequest } from './oracle.ts';

export interface ChaosLoadOptions {
  readonly urls: readonly string[];
  readonly known: readonly KnownRequest[];
  readonly clients: number;
  readonly seed: number;
  readonly hungMs: number;
  /** No request is sent any more; those that run go on to their end. */
  readonly enough: AbortSignal;
}

/** A record with the request it is of. */
export interface Sent {
  readonly known: KnownRequest;
  readonly coordinator: number;
  readonly record: ChaosRecord;
}

/** One stream in so many is left by its client before its end. */
const LEAVING = 0.08;
/** After a refusal a client waits so long, in milliseconds. */
const REFUSED_MS = 500;

/** Sends one request to each coordinator and waits for the answers: what a cluster that is left alone must do. */
export async function lastAnswers({
  urls,
  known,
  hungMs,
}: Pick<ChaosLoadOptions, 'urls' | 'known' | 'hungMs'>): Promise<Sent[]> {
  return Promise.all(
    urls.map(async (url, coordinator) => {
      const client = new ChaosClient(url);
      const chosen = known[coordinator % known.length]!;
      const record = await client.send(chosen.request, { id: `chaos-last-${coordinator}`, hungMs });
      client.close();
      return { known: chosen, coordinator, record };
    }),
  );
}

/** Keeps `clients` requests in flight, spread over all coordinators, until `enough`; then waits for the last to end. */
export async function chaosLoad(options: ChaosLoadOptions): Promise<Sent[]> {
  const { urls, known, hungMs, enough } = options;
  const clients = urls.map((url) => new ChaosClient(url));
  const draws = new RandomStream(options.seed ^ 0x10ad);
  const sent: Sent[] = [];
  let next = 0;
  const run = async (client: number) => {
    const coordinator = client % urls.length;
    while (!enough.aborted) {
      const chosen = known[draws.whole(0, known.length - 1)]!;
      const leaves = draws.next() < LEAVING && chosen.request.body.stream;
      const most = chosen.answer.choices.reduce((sum, { ids }) => sum + ids.length, 0);
      const record = await clients[coordinator]!.send(chosen.request, {
        ...{ id: `chaos-${next++}`, hungMs },
        ...(leaves && { leaveAfter: draws.whole(1, most) }),
      });
      sent.push({ known: chosen, coordinator, record });
      if (record.outcome === 'refused' || record.outcome === 'failed')
        await delay(REFUSED_MS, undefined, { signal: enough }).catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: options.clients }, (_, client) => run(client)));
  for (const client of clients) client.close();
  return sent;
}
