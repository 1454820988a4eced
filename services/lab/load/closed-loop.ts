import type { LoadClient } from './load-client.ts';
import type { RequestRecord } from './request-record.ts';
import type { Workload } from './workload.ts';

export interface ClosedLoopOptions {
  readonly client: LoadClient;
  readonly workload: Pick<Workload, 'request'>;
  /** Clients, each of which sends its next request when its last has ended. */
  readonly clients: number;
  /** Index of the first request of the workload. */
  readonly first?: number;
  /** Requests to send; without it, clients go on until `signal` fires. */
  readonly requests?: number;
  /** Leaves: running requests are broken off. */
  readonly signal?: AbortSignal;
  readonly onRecord?: (record: RequestRecord) => void;
}

/** Keeps `clients` requests in flight. Returns the records of all that were sent, in the order in which they ended. */
export async function closedLoop(options: ClosedLoopOptions): Promise<RequestRecord[]> {
  const { client, workload, clients, first = 0, requests = Number.POSITIVE_INFINITY, signal } = options;
  const records: RequestRecord[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < requests && !signal?.aborted) {
      const record = await client.send(workload.request(first + next++), signal);
      records.push(record);
      options.onRecord?.(record);
    }
  };
  await Promise.all(Array.from({ length: clients }, run));
  return records;
}
