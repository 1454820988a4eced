import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { RondoError } from '@rondo/core';

interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly headerOffset: number;
}

const END_BYTES = 22;
const END_SIGNATURE = 0x06054b50;
const ENTRY_BYTES = 46;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;

/**
 * Extracts the first file whose name satisfies `wanted` from the zip archive `path` into `directory`, under its bare
 * name, and checks its CRC.
 * Archives beyond 4 GiB and encrypted ones are not read (APPNOTE.TXT 4.3).
 */
export async function extractFromZip(
  path: string,
  wanted: (name: string) => boolean,
  directory: string,
): Promise<void> {
  const handle = await open(path);
  let entry: ZipEntry | undefined;
  let start: number;
  try {
    entry = (await readDirectory(path, handle)).find(({ name }) => wanted(name));
    if (!entry) throw invalid(path, 'holds no file of the wanted kind');
    const local = await readAt(handle, entry.headerOffset, LOCAL_BYTES);
    start = entry.headerOffset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
  } finally {
    await handle.close();
  }
  const { method, packedBytes } = entry;
  if (method !== STORED && method !== DEFLATED) throw invalid(path, `${entry.name}: method ${method}`);
  let crc = 0;
  await pipeline(
    createReadStream(path, { start, end: start + packedBytes - 1 }),
    method === DEFLATED ? createInflateRaw() : new PassThrough(),
    async function* check(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        crc = crc32(chunk, crc);
        yield chunk;
      }
    },
    createWriteStream(join(directory, basename(entry.name))),
  );
  if (crc !== entry.crc) throw invalid(path, `${entry.name}: wrong checksum`);
}

async function readDirectory(path: string, handle: FileHandle): Promise<ZipEntry[]> {
  const { size } = await handle.stat();
  const tailBytes = Math.min(size, END_BYTES + 0xffff);
  const tail = await readAt(handle, size - tailBytes, tailBytes);
  let end = tail.length - END_BYTES;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw invalid(path, 'not a zip archive, or truncated');
  const directory = await readAt(handle, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  const entries: ZipEntry[] = [];
  let at = 0;
  while (at + ENTRY_BYTES <= directory.length && directory.readUInt32LE(at) === ENTRY_SIGNATURE) {
    const nameBytes = directory.readUInt16LE(at + 28);
    entries.push({
      name: directory.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      packedBytes: directory.readUInt32LE(at + 20),
      headerOffset: directory.readUInt32LE(at + 42),
    });
    at += ENTRY_BYTES + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return entries;
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

const invalid = (path: string, reason: string): RondoError =>
  new RondoError('CHECKPOINT_INVALID', `${path}: ${reason}`);
