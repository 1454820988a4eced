import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LIMITS, RondoError } from '@rondo/core';
import { type Bundle, type BundlePart, digestFile, filesOf, MANIFEST_FILE, openBundle } from './bundle.ts';
import { diskRefusal } from './disk-refusal.ts';
import type { Manifest } from './manifest.ts';

/** The manifest's list of files, as far as fetching needs it; `openBundle` reads the rest. */
interface Listed {
  readonly files?: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
  readonly tokenizer?: Manifest['tokenizer'];
}

export interface FetchOptions {
  /** The whole header of that name, for a server that asks for one; another host that it sends us on to is not told. */
  readonly authorization?: string | undefined;
  /** By file name, the URL to fetch each file at, which then is not put together from `source`. */
  readonly presigned?: ReadonlyMap<string, string> | undefined;
  /** By default all of it. */
  readonly part?: BundlePart | undefined;
}

/**
 * Copies the bundle with `digest`, the sha256 of its bundle.json in hex, from `source`, a directory or the http(s) URL of one, into
 * `directory`. A file that is there and whole is kept, so that a fetch that was broken off goes on; bundle.json comes last.
 * @throws RondoError SOURCE_UNREACHABLE for what cannot be read, BUNDLE_INVALID for bytes that are not those of the digest,
 * CONFIG_INVALID for a full disk and a place where nothing may be written.
 */
export async function fetchBundle(
  source: string,
  digest: string,
  directory: string,
  { authorization, presigned, part = 'whole' }: FetchOptions = {},
): Promise<Bundle> {
  await onDisk(directory, mkdir(directory, { recursive: true }));
  const open: Open = (path) => openFile(source, path, { authorization, presigned });
  const manifest = await manifestFrom(source, digest, open);
  for (const { path, bytes, sha256 } of listedIn(source, manifest, part)) {
    const target = join(directory, path);
    if ((await digestFile(target).catch(() => undefined)) !== sha256) {
      await fetchFile(source, { path, bytes, sha256 }, target, open);
    }
  }
  const last = join(directory, MANIFEST_FILE);
  await onDisk(last, writeFile(`${last}.part`, manifest));
  await onDisk(last, rename(`${last}.part`, last));
  return openBundle(directory, part);
}

const onDisk = <Result>(path: string, work: Promise<Result>): Promise<Result> =>
  work.catch((cause: unknown) => {
    throw diskRefusal(path, cause, '--out') ?? cause;
  });

type Open = (path: string) => Promise<Readable>;

async function manifestFrom(source: string, digest: string, open: Open): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of await open(MANIFEST_FILE)) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    if (length > LIMITS.manifestBytes) {
      throw new RondoError(
        'BUNDLE_INVALID',
        `${source}: ${MANIFEST_FILE} exceeds ${LIMITS.manifestBytes} bytes`,
      );
    }
  }
  const manifest = Buffer.concat(parts);
  const found = createHash('sha256').update(manifest).digest('hex');
  if (found === digest) return manifest;
  throw new RondoError('BUNDLE_INVALID', `${source}: expected the bundle ${digest}, found ${found}`);
}

/** The digest has said whose manifest this is; only a plain file name may be written all the same. */
function listedIn(source: string, manifest: Buffer, part: BundlePart): Required<Listed>['files'] {
  const { files: all = [], tokenizer } = JSON.parse(manifest.toString('utf8')) as Listed;
  const files = filesOf({ files: all, tokenizer }, part);
  const stray = files.find(({ path }) => !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(path));
  if (stray === undefined) return files;
  throw new RondoError('BUNDLE_INVALID', `${source}: lists ${stray.path}, which is no plain file name`);
}

async function fetchFile(
  source: string,
  { path, bytes, sha256 }: Required<Listed>['files'][number],
  target: string,
  open: Open,
): Promise<void> {
  const hash = createHash('sha256');
  let length = 0;
  async function* counted(body: Readable) {
    for await (const part of body) {
      length += (part as Buffer).length;
      if (length > bytes) break;
      hash.update(part as Buffer);
      yield part as Buffer;
    }
  }
  const broken = (cause: Error): never => {
    if (cause instanceof RondoError) throw cause;
    const refusal = diskRefusal(target, cause, '--out');
    if (refusal) throw refusal;
    throw new RondoError('SOURCE_UNREACHABLE', `${source}: ${path} broke off: ${cause.message}`, { cause });
  };
  await pipeline(await open(path), counted, createWriteStream(`${target}.part`)).catch(broken);
  const found = hash.digest('hex');
  if (length !== bytes || found !== sha256) {
    await rm(`${target}.part`);
    throw new RondoError(
      'BUNDLE_INVALID',
      `${source}: ${path}: expected ${bytes} bytes with sha256 ${sha256}, found ${length > bytes ? 'more' : `${length} with ${found}`}`,
    );
  }
  await onDisk(target, rename(`${target}.part`, target));
}

async function openFile(
  source: string,
  path: string,
  { authorization, presigned }: FetchOptions,
): Promise<Readable> {
  const unreachable = (why: string, cause?: unknown): never => {
    throw new RondoError('SOURCE_UNREACHABLE', `${source}: ${path} cannot be read: ${why}`, { cause });
  };
  if (!/^https?:\/\//.test(source)) {
    const file = createReadStream(join(resolve(source), path), { highWaterMark: 1 << 20 });
    await new Promise<void>((opened, failed) =>
      file.once('open', () => opened()).once('error', failed),
    ).catch((cause: Error) => unreachable(cause.message, cause));
    return file;
  }
  const headers = authorization === undefined ? {} : { authorization };
  const url = presigned ? presigned.get(path) : `${source.replace(/\/+$/, '')}/${path}`;
  if (url === undefined) return unreachable('no presigned URL is of it');
  const response = await fetch(url, { headers }).catch((thrown: Error) =>
    unreachable(thrown.cause instanceof Error ? thrown.cause.message : thrown.message, thrown),
  );
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    const signed = presigned ? '; a presigned URL ends at its time: sign it again if that is past' : '';
    return unreachable(`the server answers ${response.status}${signed}`);
  }
  return Readable.fromWeb(response.body);
}
