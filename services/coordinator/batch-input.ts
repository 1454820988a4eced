import { checkInput, inputGone, rawLines } from './batch-lines.ts';
import { type BatchRecord, failed, isEnded, started } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';
import type { BatchTenure } from './batch-tenure.ts';

/** Lines on their way to the queue at once. */
const ADDS_AHEAD = 64;

/**
 * Checks a batch's input whole, then puts its lines into the queue and lets them run. Done again by another coordinator it comes to
 * the same: a line that was answered meanwhile is not answered again.
 * @param now seconds since 1970
 * @throws RondoError NATS_UNAVAILABLE
 */
export async function readInput(
  tenure: BatchTenure,
  stores: Pick<BatchStores, 'contents' | 'open' | 'queue'>,
  now: () => number,
): Promise<void> {
  const { inputFileId, endpoint } = tenure.batch;
  const content = await stores.contents.get(inputFileId);
  const check =
    content === undefined
      ? { total: 0, errors: [inputGone(inputFileId)] }
      : await checkInput(content, endpoint);
  // Cancelled meanwhile, it stays so.
  const ifValidating = (change: (batch: BatchRecord) => BatchRecord) => (batch: BatchRecord) =>
    batch.status === 'validating' ? change(batch) : batch;
  if (check.errors.length > 0) {
    await tenure.write(ifValidating((batch) => failed(batch, check.errors, now())));
    return;
  }
  try {
    const added = await addLines(tenure, stores);
    await tenure.write(
      ifValidating((batch) =>
        added ? started(batch, check.total, now()) : failed(batch, [inputGone(inputFileId)], now()),
      ),
    );
  } finally {
    await dropIfEnded(tenure.batch.id, stores);
  }
}

/** Settles, well or not, when all adds have: none comes after it. False when the input is gone since it was checked. */
async function addLines(
  tenure: BatchTenure,
  { contents, queue }: Pick<BatchStores, 'contents' | 'queue'>,
): Promise<boolean> {
  const { id, inputFileId } = tenure.batch;
  const content = await contents.get(inputFileId);
  if (content === undefined) return false;
  await queue.openGroup(id);
  const adds = new Set<Promise<void>>();
  let place = 0;
  try {
    for await (const { bytes } of rawLines(content)) {
      if (tenure.lost || tenure.batch.status !== 'validating') break;
      const add: Promise<void> = queue
        .add(id, String(place++), bytes ?? new Uint8Array(0))
        // One that fails stays, for whoever awaits them next.
        .then(() => void adds.delete(add));
      // Whoever awaits it hears of the failure, also when reading on fails first.
      add.catch(() => undefined);
      adds.add(add);
      if (adds.size >= ADDS_AHEAD) await Promise.race(adds);
    }
    await Promise.all(adds);
    return true;
  } finally {
    await Promise.allSettled(adds);
  }
}

/**
 * Others may have ended the batch and dropped its group meanwhile: nobody takes or drops what came into the queue since. One that only
 * took it over adds the same lines, which are to stay; and whoever ends it from now on drops them.
 */
async function dropIfEnded(id: string, { open, queue }: Pick<BatchStores, 'open' | 'queue'>): Promise<void> {
  const stored = await open.get(id);
  if (stored === undefined || isEnded(stored.value)) await queue.dropGroup(id);
}
