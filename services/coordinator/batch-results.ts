import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { RondoError } from '@rondo/core';
import { decodeResult, type LineResult } from './batch-answer.ts';
import { inputGone, isBatchError, parseLine, type RawLine, rawLines } from './batch-lines.ts';
import { outputLine } from './batch-output.ts';
import { ended, failed } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';
import type { BatchTenure } from './batch-tenure.ts';
import type { FileRecord } from './files.ts';
import type { Owner } from './owner.ts';

/** Results that are fetched at once. */
const GETS_AHEAD = 32;

/**
 * Writes the output and the error file of a sealed batch, in the order of its input, and ends the batch. Whoever does it
 * writes the same bytes under the same ids, so that doing it twice does no harm; whoever does it when another has ended the batch
 * stores nothing. Without its input, which tells the lines apart, it fails.
 * @param now seconds since 1970
 * @throws RondoError NATS_UNAVAILABLE, CANCELLED when the batch is another coordinator's by now
 */
export async function writeOutput(
  tenure: BatchTenure,
  stores: Pick<BatchStores, 'contents' | 'files' | 'results'>,
  now: () => number,
): Promise<void> {
  const { id, total, endpoint, owner, inputFileId } = tenure.batch;
  const hex = id.replace(/^batch_/, '');
  const files = {
    output: new WrittenFile(stores, `file-${hex}o`, `${id}_output.jsonl`, owner),
    error: new WrittenFile(stores, `file-${hex}e`, `${id}_error.jsonl`, owner),
  };
  try {
    if (total > 0) {
      const content = await stores.contents.get(inputFileId);
      if (content === undefined) {
        await tenure.write((batch) => failed(batch, [inputGone(inputFileId)], now()));
        return;
      }
      for await (const { raw, place, result } of withResults(tenure, content, stores)) {
        if (tenure.lost) throw lost(id);
        const parsed = parseLine(raw, endpoint);
        const customId = isBatchError(parsed) ? '' : parsed.customId;
        const line = outputLine(id, place, customId, result, tenure.batch.ending ?? 'completed');
        await files[line.file].write(line.text);
      }
    }
    // Whoever took it over may have put it away, and dropped the results that these lines were to be of.
    if (!(await tenure.beat())) throw lost(id);
    const [outputFileId, errorFileId] = [await files.output.end(now()), await files.error.end(now())];
    await tenure.write((batch) => ended(batch, { outputFileId, errorFileId }, now()));
  } catch (error) {
    files.output.destroy(error as Error);
    files.error.destroy(error as Error);
    throw error;
  }
}

const lost = (id: string): RondoError =>
  new RondoError('CANCELLED', `${id} is another coordinator's by now, or has ended`);

interface Answered {
  readonly raw: RawLine;
  readonly place: number;
  readonly result: LineResult | undefined;
}

/** The input's lines with their results, fetched a few ahead. Results behind the seal do not count. */
async function* withResults(
  tenure: BatchTenure,
  content: AsyncIterable<Uint8Array>,
  { results }: Pick<BatchStores, 'results'>,
): AsyncGenerator<Answered, void, undefined> {
  const { id, tally } = tenure.batch;
  const fetch = async (raw: RawLine, place: number): Promise<Answered> => {
    const found = await results.get(id, String(place));
    return { raw, place, result: found && found.seq <= tally.seq ? decodeResult(found.data) : undefined };
  };
  const ahead: Promise<Answered>[] = [];
  let place = 0;
  for await (const raw of rawLines(content)) {
    const answered = fetch(raw, place++);
    // Whoever awaits it hears of the failure.
    answered.catch(() => undefined);
    ahead.push(answered);
    if (ahead.length >= GETS_AHEAD) yield await ahead.shift()!;
  }
  for (const answered of ahead) yield await answered;
}

/** A file that is made with its first line, and stored as fast as it is written. */
class WrittenFile {
  readonly #stores: Pick<BatchStores, 'contents' | 'files'>;
  readonly #id: string;
  readonly #filename: string;
  readonly #owner: Owner;
  #stream: PassThrough | undefined;
  #stored: Promise<number> | undefined;

  constructor(stores: Pick<BatchStores, 'contents' | 'files'>, id: string, filename: string, owner: Owner) {
    this.#stores = stores;
    this.#id = id;
    this.#filename = filename;
    this.#owner = owner;
  }

  async write(text: string): Promise<void> {
    if (this.#stream === undefined) {
      // A failure may come while nobody writes; it is told by `#stored`.
      this.#stream = new PassThrough().on('error', () => undefined);
      this.#stored = this.#stores.contents.put(this.#id, this.#stream);
      this.#stored.catch((error: Error) => this.#stream?.destroy(error));
    }
    // A stream that was given up takes nothing and never drains.
    if (!this.#stream.write(text)) await Promise.race([once(this.#stream, 'drain'), this.#stored]);
  }

  /** The file's id once all of it is stored; undefined when nothing was written. */
  async end(now: number): Promise<string | undefined> {
    if (this.#stream === undefined || this.#stored === undefined) return undefined;
    this.#stream.end();
    const bytes = await this.#stored;
    const record: FileRecord = {
      id: this.#id,
      filename: this.#filename,
      purpose: 'batch_output',
      bytes,
      createdAt: now,
      owner: this.#owner,
    };
    await this.#stores.files.put(this.#id, record);
    return this.#id;
  }

  destroy(error: Error): void {
    this.#stream?.destroy(error);
  }
}
