import { LIMITS, RondoError } from '@rondo/core';
import type { BatchStores } from './batch-stores.ts';
import { type Owner, owns } from './owner.ts';
import { storeId } from './store-id.ts';

export type FilePurpose = 'batch' | 'batch_output';

/** What is known of a file beside its bytes. */
export interface FileRecord {
  readonly id: string;
  readonly filename: string;
  readonly purpose: FilePurpose;
  readonly bytes: number;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly owner?: Owner;
}

/** OpenAI's file object. */
export const fileObject = ({ id, filename, purpose, bytes, createdAt }: FileRecord) => ({
  id,
  object: 'file',
  bytes,
  created_at: createdAt,
  expires_at: null,
  filename,
  purpose,
  status: 'processed',
  status_details: null,
});

type FileStores = Pick<BatchStores, 'contents' | 'files' | 'open'>;

/** The part of an upload that comes first: `settle` is asked for the rest once the content is read to its end. */
export interface Upload {
  readonly filename: string;
  readonly content: AsyncIterable<Uint8Array>;
  /** @throws RondoError when the upload cannot be accepted after all */
  readonly settle: () => Promise<{ readonly purpose: FilePurpose }>;
}

/** Files in the store. The record comes last and goes first, so a file that can be found is whole. */
export class Files {
  readonly #stores: () => FileStores;
  readonly #now: () => number;

  /** `now`: milliseconds since 1970. */
  constructor(stores: () => FileStores, now: () => number) {
    this.#stores = stores;
    this.#now = now;
  }

  /** @throws RondoError BODY_TOO_LARGE beyond `fileBytes`, NATS_UNAVAILABLE, what `settle` throws */
  async store({ filename, content, settle }: Upload, owner: Owner): Promise<FileRecord> {
    const { contents, files } = this.#stores();
    const nowMs = this.#now();
    const id = storeId('file-', nowMs);
    const bytes = await contents.put(id, bounded(content));
    try {
      const { purpose } = await settle();
      const record = { id, filename, purpose, bytes, createdAt: Math.floor(nowMs / 1000), owner };
      await files.put(id, record);
      return record;
    } catch (error) {
      await contents.delete(id);
      throw error;
    }
  }

  /** @throws RondoError NOT_FOUND */
  async get(id: string, owner: Owner): Promise<FileRecord> {
    const found = isKey(id) ? await this.#stores().files.get(id) : undefined;
    if (found === undefined || !owns(owner, found.value))
      throw new RondoError('NOT_FOUND', `there is no file '${id}'`, { param: 'file_id' });
    return found.value;
  }

  /** @throws RondoError NOT_FOUND */
  async content(
    id: string,
    owner: Owner,
  ): Promise<{ readonly file: FileRecord; readonly content: AsyncIterable<Uint8Array> }> {
    const file = await this.get(id, owner);
    const content = await this.#stores().contents.get(id);
    if (content === undefined) throw new RondoError('NOT_FOUND', `the content of file '${id}' is gone`);
    return { file, content };
  }

  async list(owner: Owner): Promise<FileRecord[]> {
    return (await this.#stores().files.list()).map(({ value }) => value).filter((file) => owns(owner, file));
  }

  /** @throws RondoError NOT_FOUND, INVALID_REQUEST for the input of a batch that has not ended */
  async delete(id: string, owner: Owner): Promise<void> {
    const { contents, files, open } = this.#stores();
    await this.get(id, owner);
    const reader = (await open.list()).find(({ value }) => value.inputFileId === id);
    if (reader !== undefined) {
      throw new RondoError(
        'INVALID_REQUEST',
        `file '${id}' is the input of ${reader.value.id}, which has not ended`,
      );
    }
    await files.delete(id);
    await contents.delete(id);
  }
}

/** Only what we make ourselves can be a key: NATS gives some characters a meaning. */
export const isKey = (id: string): boolean => /^[A-Za-z0-9_-]{1,64}$/.test(id);

async function* bounded(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > LIMITS.fileBytes) {
      throw new RondoError('BODY_TOO_LARGE', `file: at most ${LIMITS.fileBytes} bytes`, { param: 'file' });
    }
    yield piece;
  }
}
