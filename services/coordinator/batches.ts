import { type Telemetry, traceparentOf } from '@rondo/chassis';
import { LIMITS, RondoError } from '@rondo/core';
import { z } from 'zod';
import type { BatchKeeper } from './batch-keeper.ts';
import { BATCH_ENDPOINTS } from './batch-lines.ts';
import { type BatchRecord, cancelling, isEnded, newBatch } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';
import { type Files, isKey } from './files.ts';
import { parseBody } from './generation-fields.ts';
import { invalid } from './openai-error.ts';
import { type Owner, owns } from './owner.ts';
import { storeId } from './store-id.ts';

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** OpenAI's bounds of metadata. */
const METADATA = { keys: 16, keyChars: 64, valueChars: 512 };

const schema = z.strictObject({
  input_file_id: z.string(),
  endpoint: z.enum(BATCH_ENDPOINTS),
  completion_window: z.string().default('24h'),
  metadata: z
    .record(z.string().max(METADATA.keyChars), z.string().max(METADATA.valueChars))
    .refine((metadata) => Object.keys(metadata).length <= METADATA.keys, `at most ${METADATA.keys} keys`)
    .optional(),
});

/** `24h` → 86400. Seconds, minutes, hours or days. @throws RondoError INVALID_REQUEST */
export function windowSeconds(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? [];
  const seconds = Number(count) * SECONDS[(unit ?? 'm') as keyof typeof SECONDS];
  if (seconds > 0 && seconds <= LIMITS.batchWindowMaxS) return seconds;
  throw invalid(
    'completion_window',
    `expected seconds, minutes, hours or days up to 7d, such as 24h; got '${text}'`,
  );
}

export interface BatchesOptions {
  readonly stores: () => BatchStores;
  readonly keeper: () => BatchKeeper;
  readonly files: Files;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Who reads the input of the batches made here. */
  readonly keeperId: string;
  readonly telemetry: Telemetry;
}

/** What clients do with batches. All throw NATS_UNAVAILABLE while NATS is away. */
export class Batches {
  readonly #options: BatchesOptions;

  constructor(options: BatchesOptions) {
    this.#options = options;
  }

  /**
   * @param traceparent the client's header of that name
   * @throws RondoError INVALID_REQUEST, NOT_FOUND for an unknown file, OVERLOADED beyond `batchesOpenMax`
   */
  async create(body: unknown, owner: Owner, traceparent: unknown): Promise<BatchRecord> {
    const { stores, keeper, files, nowMs, keeperId, telemetry } = this.#options;
    const { sampled, ...context } = telemetry.begin(traceparent);
    const traced = sampled && telemetry.exports;
    const startMs = nowMs();
    const asked = parseBody(schema, body);
    const windowS = windowSeconds(asked.completion_window);
    const file = await files.get(asked.input_file_id, owner);
    if (file.purpose !== 'batch') throw invalid('input_file_id', `'${file.id}' was not uploaded for a batch`);
    const { open } = stores();
    if ((await open.list()).length >= LIMITS.batchesOpenMax) {
      throw new RondoError(
        'OVERLOADED',
        `${LIMITS.batchesOpenMax} batches have not ended, the most there may be; try again when one has`,
      );
    }
    const now = nowMs();
    const batch = newBatch(
      {
        id: storeId('batch_', now),
        endpoint: asked.endpoint,
        inputFileId: file.id,
        completionWindow: asked.completion_window,
        metadata: asked.metadata ?? null,
        windowS,
        keeperId,
        owner,
        ...(traced && { traceparent: traceparentOf({ ...context, sampled }) }),
      },
      Math.floor(now / 1000),
    );
    await open.put(batch.id, batch);
    keeper().look();
    if (traced) {
      // Its lines link to this span.
      const attributes = { 'rondo.batch_id': batch.id };
      telemetry.export([
        { name: 'create_batch', kind: 'server', ...context, startMs, endMs: nowMs(), attributes },
      ]);
    }
    return batch;
  }

  /** With the counts of this moment. @throws RondoError NOT_FOUND */
  async get(id: string, owner: Owner): Promise<BatchRecord> {
    const { stores, keeper } = this.#options;
    const { open, ended } = stores();
    const found = isKey(id) ? ((await open.get(id)) ?? (await ended.get(id))) : undefined;
    if (found === undefined || !owns(owner, found.value))
      throw new RondoError('NOT_FOUND', `there is no batch '${id}'`, { param: 'batch_id' });
    const batch = found.value;
    return isEnded(batch) ? batch : { ...batch, tally: await keeper().tally(batch) };
  }

  async list(owner: Owner): Promise<BatchRecord[]> {
    const { open, ended } = this.#options.stores();
    // In this order: a batch that ends between the two is then seen twice, not never.
    const all = [...(await open.list()), ...(await ended.list())];
    return [...new Map(all.map(({ key, value }) => [key, value])).values()].filter((batch) =>
      owns(owner, batch),
    );
  }

  /**
   * Stops lines that have not started; a batch that is cancelling already stays so.
   * @throws RondoError NOT_FOUND, INVALID_REQUEST for a batch that is past cancelling
   */
  async cancel(id: string, owner: Owner): Promise<BatchRecord> {
    const { stores, keeper, nowMs } = this.#options;
    const { open } = stores();
    await this.get(id, owner);
    for (;;) {
      const stored = isKey(id) ? await open.get(id) : undefined;
      if (stored === undefined || isEnded(stored.value) || stored.value.status === 'finalizing') {
        const { status } = await this.get(id, owner);
        throw new RondoError('INVALID_REQUEST', `batch '${id}' is ${status}: there is nothing to cancel`);
      }
      if (stored.value.status === 'cancelling') return stored.value;
      const written = await open.replace(stored, cancelling(stored.value, Math.floor(nowMs() / 1000)));
      if (written === undefined) continue;
      keeper().look();
      return written.value;
    }
  }
}
