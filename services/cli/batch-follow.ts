import { setTimeout as delay } from 'node:timers/promises';
import { RondoError } from '@rondo/core';
import type { ApiClient } from './api-client.ts';
import { BatchPace } from './batch-pace.ts';
import { progressBar } from './progress.ts';

/** OpenAI's batch object, as far as the commands look at it. */
export interface Batch {
  readonly id: string;
  readonly status: string;
  readonly endpoint: string;
  readonly input_file_id: string;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly created_at: number;
  readonly expires_at: number;
  readonly errors: {
    readonly data: readonly { readonly line: number | null; readonly message: string }[];
  } | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
}

const OVER = ['completed', 'failed', 'expired', 'cancelled'];

export const isOver = ({ status }: Batch): boolean => OVER.includes(status);

/** How often it is asked for, and how long nobody may answer, in milliseconds. */
const ASK = { everyMs: 1_000, patienceMs: 60_000 };

/**
 * Shows how far a batch is until it is over. Coordinators and NATS may come and go meanwhile.
 * @throws RondoError what was answered last when nobody could tell for a minute
 */
export async function followBatch(client: ApiClient, id: string): Promise<Batch> {
  const pace = new BatchPace();
  const bar = progressBar(id, 0, { notes: true });
  try {
    for (let heardMs = performance.now(); ; await delay(ASK.everyMs)) {
      const batch = await client.get<Batch>(`/v1/batches/${id}`).catch((thrown: unknown) => {
        const error = RondoError.from(thrown);
        if (error.retryable && performance.now() - heardMs < ASK.patienceMs) return undefined;
        throw new RondoError(error.code, `${error.message}\n${id} goes on without being watched`, {
          cause: error,
        });
      });
      if (batch === undefined) continue;
      heardMs = performance.now();
      const { total, completed, failed } = batch.request_counts;
      pace.note({ atMs: heardMs, done: completed + failed });
      const note = `${batch.status}, ${failed} failed${pace.words(total - completed - failed)}`;
      if (total > 0) bar.update(completed + failed, total, id, note);
      if (isOver(batch)) return batch;
    }
  } finally {
    bar.stop();
  }
}
