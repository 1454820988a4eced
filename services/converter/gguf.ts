import { RondoError } from '@rondo/core';
import { Fields } from './fields.ts';
import { type StoredTensor, storedBytes, TensorFile } from './tensor-file.ts';
import { GGML_FORMATS } from './tensor-formats.ts';

/** The header of a GGUF file: its metadata and where its tensors lie. Data is read later, by offset. */
export interface GgufFile {
  readonly file: TensorFile;
  readonly metadata: Fields;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Where the metadata lies in the file, for whoever copies it as it is. */
  readonly metadataAt: { readonly entries: number; readonly start: number; readonly end: number };
}

const MAGIC = 'GGUF';
const FIRST_WINDOW = 4 * 1024 * 1024;
/** Vocabularies fill tens of megabytes; beyond this the lengths in the header are nonsense. */
const HEADER_BYTES_MAX = 512 * 1024 * 1024;

/**
 * Reads the header (github.com/ggml-org/ggml, docs/gguf.md; versions 2 and 3, little-endian).
 * @throws RondoError CHECKPOINT_INVALID for a foreign or truncated file, CHECKPOINT_UNSUPPORTED for a packing or
 * version that is not read.
 */
export async function openGgufFile(path: string): Promise<GgufFile> {
  const file = await TensorFile.open(path);
  try {
    const magic = await file.bytes(0, Math.min(4, file.size), 'the magic');
    if (magic.toString('latin1') !== MAGIC) {
      const found = JSON.stringify(magic.toString('latin1'));
      throw new RondoError(
        'CHECKPOINT_INVALID',
        `${path}: not a GGUF file: expected it to start with "${MAGIC}", found ${found}`,
      );
    }
    for (let window = FIRST_WINDOW; ; window *= 4) {
      const header = await file.bytes(0, Math.min(window, file.size), 'the header');
      const parsed = parseHeader(file, header);
      if (parsed) return { file, ...parsed };
      if (window >= file.size || window >= HEADER_BYTES_MAX) {
        throw new RondoError(
          'CHECKPOINT_INVALID',
          `${path}: truncated: the header does not end within the file's ${file.size} bytes`,
        );
      }
    }
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Undefined when `bytes` end before the header does. */
function parseHeader(file: TensorFile, bytes: Buffer): Omit<GgufFile, 'file'> | undefined {
  try {
    const cursor = new Cursor(bytes, MAGIC.length);
    const version = cursor.u32();
    if (version !== 2 && version !== 3) {
      throw new RondoError(
        'CHECKPOINT_UNSUPPORTED',
        `${file.path}: GGUF version ${version}${version > 0xffff ? ' (big-endian)' : ''}; supported: 2, 3, little-endian`,
      );
    }
    const tensorCount = cursor.u64();
    const entries = cursor.u64();
    const start = cursor.at;
    const values: Record<string, unknown> = Object.create(null);
    for (let entry = 0; entry < entries; entry++) values[cursor.text()] = cursor.value(cursor.u32());
    const metadataAt = { entries, start, end: cursor.at };
    const metadata = new Fields(file.path, values);
    const infos: TensorInfo[] = [];
    while (infos.length < tensorCount) infos.push(tensorInfo(cursor));
    const alignment = metadata.count('general.alignment', 32);
    const dataStart = Math.ceil(cursor.at / alignment) * alignment;
    const tensors = new Map(infos.map((info) => [info.name, place(file, info, dataStart)]));
    return { metadata, tensors, metadataAt };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function tensorInfo(cursor: Cursor): TensorInfo {
  const name = cursor.text();
  const dims: number[] = [];
  for (let left = cursor.u32(); left > 0; left--) dims.push(cursor.u64());
  // GGUF counts dimensions from the innermost.
  return { name, shape: dims.reverse(), type: cursor.u32(), offset: cursor.u64() };
}

function place(file: TensorFile, { name, shape, type, offset }: TensorInfo, dataStart: number): StoredTensor {
  const format = GGML_FORMATS.get(type);
  if (!format) {
    const readable = [...GGML_FORMATS.values()].map((known) => known.name).join(', ');
    throw new RondoError(
      'CHECKPOINT_UNSUPPORTED',
      `${file.path}: tensor ${name} is packed as ggml type ${type}; supported: ${readable}`,
    );
  }
  if ((shape.at(-1) ?? 0) % format.elements !== 0) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${file.path}: tensor ${name} [${shape}]: expected rows in multiples of ${format.elements} for ${format.name}`,
    );
  }
  const tensor: StoredTensor = { name, file, shape, format, offset: dataStart + offset };
  file.requireBytes(tensor.offset + storedBytes(tensor), `tensor ${name}`);
  return tensor;
}

/** Reads little-endian values one after another; RangeError at the end of the bytes. */
class Cursor {
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  u64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#take(8)));
  }

  text(): string {
    const length = this.u64();
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  /** A metadata value of GGUF type `type`. */
  value(type: number): unknown {
    const bytes = this.#bytes;
    switch (type) {
      case 0:
        return bytes.readUInt8(this.#take(1));
      case 1:
        return bytes.readInt8(this.#take(1));
      case 2:
        return bytes.readUInt16LE(this.#take(2));
      case 3:
        return bytes.readInt16LE(this.#take(2));
      case 4:
        return this.u32();
      case 5:
        return bytes.readInt32LE(this.#take(4));
      case 6:
        return bytes.readFloatLE(this.#take(4));
      case 7:
        return bytes.readUInt8(this.#take(1)) !== 0;
      case 8:
        return this.text();
      case 9:
        return this.#array();
      case 10:
        return this.u64();
      case 11:
        return Number(bytes.readBigInt64LE(this.#take(8)));
      case 12:
        return bytes.readDoubleLE(this.#take(8));
      default:
        throw new RondoError('CHECKPOINT_INVALID', `GGUF metadata: no such value type: ${type}`);
    }
  }

  #array(): unknown[] {
    const type = this.u32();
    const length = this.u64();
    const items: unknown[] = [];
    for (let index = 0; index < length; index++) items.push(this.value(type));
    return items;
  }

  #take(length: number): number {
    const start = this.at;
    if (start + length > this.#bytes.length) throw new RangeError('end of header');
    this.at = start + length;
    return start;
  }
}
