import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { diskRefusal } from '@rondo/bundle';
import { RondoError } from '@rondo/core';

/** What the source says a file must hash to. `git-blob` is git's SHA-1 over "blob <size>\0" and the content. */
export interface Digest {
  readonly kind: 'sha256' | 'git-blob';
  readonly hex: string;
}

export interface RemoteFile {
  readonly url: string;
  readonly bytes: number;
  readonly digest: Digest;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DownloadProgress {
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

export interface TransferOptions {
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where checkpoints are kept is its value. */
export const PLACE_OPTION = '--cache';
/** Without a single byte for this long a source counts as unreachable. */
const CONNECT_MS = 5_000;
const STALL_MS = 30_000;
/** Attempts in a row that bring no byte before a download is given up. */
const BARREN_ATTEMPTS = 3;

/**
 * Fetches `remote` into `target` by way of `target.part`, which a later call continues; the file appears under its name
 * only when its digest is right. A `target` that an earlier call brought whole is not fetched again.
 * @throws RondoError SOURCE_UNREACHABLE when the source cannot be read, CHECKPOINT_INVALID on a wrong digest, CONFIG_INVALID for a full
 * disk, which no other try makes larger.
 */
export async function download(remote: RemoteFile, target: string, options: TransferOptions): Promise<void> {
  const part = `${target}.part`;
  const file = basename(target);
  const report = (receivedBytes: number) =>
    options.onProgress?.({ file, receivedBytes, totalBytes: remote.bytes });
  // A repository of several shards may have broken off behind this one.
  if ((await sizeOf(target)) === remote.bytes && (await digestOf(target, remote)) === remote.digest.hex) {
    report(remote.bytes);
    return;
  }
  for (let barren = 0; ; ) {
    const before = await sizeOf(part);
    if (before === remote.bytes && remote.bytes > 0) break;
    try {
      await appendRest(remote, part, before > remote.bytes ? 0 : before, report, options.signal);
      break;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof RondoError) throw error;
      const refusal = diskRefusal(part, error, PLACE_OPTION);
      if (refusal) throw refusal;
      barren = (await sizeOf(part)) > before ? 0 : barren + 1;
      if (barren === BARREN_ATTEMPTS) throw unreachable(remote.url, error);
    }
  }
  const found = await digestOf(part, remote);
  if (found !== remote.digest.hex) {
    await rm(part, { force: true });
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${remote.url}: wrong ${remote.digest.kind} digest: expected ${remote.digest.hex}, found ${found}; the download was removed`,
    );
  }
  report(remote.bytes);
  await rename(part, target);
}

async function appendRest(
  remote: RemoteFile,
  part: string,
  have: number,
  report: (receivedBytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const range = have > 0 ? { range: `bytes=${have}-` } : {};
  const { response, alive, done } = await request(remote.url, { ...remote.headers, ...range }, signal);
  try {
    if (!response.ok) throw new RondoError('SOURCE_UNREACHABLE', `${remote.url}: HTTP ${response.status}`);
    // A server that ignores the range sends the whole file again.
    let received = response.status === 206 ? have : 0;
    const handle = await open(part, received > 0 ? 'a' : 'w');
    try {
      for await (const bytes of response.body ?? []) {
        alive();
        received += bytes.length;
        if (received > remote.bytes) throw tooLong(remote);
        await handle.write(bytes);
        report(received);
      }
    } finally {
      await handle.close();
    }
    if (received < remote.bytes) throw new Error(`ended after ${received} of ${remote.bytes} bytes`);
  } finally {
    done();
  }
}

const tooLong = ({ url, bytes }: RemoteFile): RondoError =>
  new RondoError('SOURCE_UNREACHABLE', `${url}: sends more than the announced ${bytes} bytes`);

interface Reply {
  readonly response: Response;
  /** To be called whenever bytes arrive. */
  readonly alive: () => void;
  /** To be called when nothing more is wanted: drops what is still under way. */
  readonly done: () => void;
}

/** `fetch` that gives up when nothing is heard: 5 s for the head of the reply, 30 s between pieces of the body. */
async function request(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<Reply> {
  const controller = new AbortController();
  const silence = (ms: number) =>
    setTimeout(() => controller.abort(new Error(`nothing heard for ${ms / 1000} s`)), ms);
  let timer = silence(CONNECT_MS);
  const done = () => {
    clearTimeout(timer);
    controller.abort();
  };
  try {
    const either = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    const response = await fetch(url, { headers, signal: either });
    const alive = () => {
      clearTimeout(timer);
      timer = silence(STALL_MS);
    };
    alive();
    return { response, alive, done };
  } catch (error) {
    done();
    throw error;
  }
}

/** `fetch` for small replies, bounded as a whole. */
export const fetchSoon: typeof fetch = (input, init) => {
  const timeout = AbortSignal.timeout(CONNECT_MS);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, timeout]) : timeout });
};

export function unreachable(what: string, error: unknown): RondoError {
  const { message, cause } = error as Error;
  const detail = cause instanceof Error && cause.message ? `${message} (${cause.message})` : message;
  return new RondoError('SOURCE_UNREACHABLE', `${what}: ${detail}`, { cause: error });
}

async function digestOf(path: string, { digest, bytes }: RemoteFile): Promise<string> {
  const hash: Hash =
    digest.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );
