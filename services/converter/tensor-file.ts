import { type FileHandle, open } from 'node:fs/promises';
import { RondoError } from '@rondo/core';
import type { TensorFormat } from './tensor-formats.ts';

/** Where one tensor lies on disk. */
export interface StoredTensor {
  readonly name: string;
  readonly file: TensorFile;
  /** Rows first, as in PyTorch. */
  readonly shape: readonly number[];
  readonly format: TensorFormat;
  /** Bytes from the start of the file. */
  readonly offset: number;
}

export const elementsOf = (shape: readonly number[]): number =>
  shape.reduce((total, size) => total * size, 1);

export const storedBytes = ({ shape, format }: Pick<StoredTensor, 'shape' | 'format'>): number =>
  (elementsOf(shape) / format.elements) * format.bytes;

/** @throws RondoError CHECKPOINT_INVALID when a tensor has another shape; sides of one are as good as none. */
export function requireShape({ file, name, shape: found }: StoredTensor, shape: readonly number[]): void {
  if (withoutOnes(found) === withoutOnes(shape)) return;
  throw new RondoError(
    'CHECKPOINT_INVALID',
    `${file.path}: tensor ${name}: expected shape [${shape}], found [${found}]`,
  );
}

const withoutOnes = (shape: readonly number[]): string => shape.filter((size) => size !== 1).join('x');

/** @throws RondoError CHECKPOINT_INVALID for a value that is no number: nothing that is computed with it is one. */
export function requireFinite(data: Float32Array, { file, name, shape }: StoredTensor): void {
  for (let at = 0; at < data.length; at++) {
    if (Number.isFinite(data[at])) continue;
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${file.path}: tensor ${name} [${shape}]: value ${at} is ${data[at]}, not a finite number`,
    );
  }
}

/** Whether two tensors are stored as the same bytes; few of them are held at once. */
export async function storedAlike(one: StoredTensor, other: StoredTensor): Promise<boolean> {
  if (one.format !== other.format || withoutOnes(one.shape) !== withoutOnes(other.shape)) return false;
  const total = storedBytes(one);
  for (let at = 0; at < total; at += WINDOW_BYTES) {
    const [left, right] = await Promise.all(
      [one, other].map(({ file, offset, name }) =>
        file.bytes(offset + at, Math.min(WINDOW_BYTES, total - at), `tensor ${name}`),
      ),
    );
    if (!left!.equals(right!)) return false;
  }
  return true;
}

/** Raw bytes held at once while a tensor is decoded, and read at once: Node reads at most 2 GiB in one call. */
const WINDOW_BYTES = 8 * 1024 * 1024;

/** A file with tensors in it, read by offset. */
export class TensorFile {
  readonly path: string;
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** @throws RondoError CHECKPOINT_INVALID when the file cannot be opened. */
  static async open(path: string): Promise<TensorFile> {
    try {
      const handle = await open(path);
      return new TensorFile(path, (await handle.stat()).size, handle);
    } catch (cause) {
      throw new RondoError('CHECKPOINT_INVALID', `${path}: cannot be opened: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** @throws RondoError CHECKPOINT_INVALID when the file ends before byte `end`, which `what` reaches to. */
  requireBytes(end: number, what: string): void {
    if (end <= this.size) return;
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${this.path}: truncated: ${what} ends at byte ${end}, the file has ${this.size}`,
    );
  }

  /** @throws RondoError CHECKPOINT_INVALID when the file ends before `offset + length`. */
  async bytes(offset: number, length: number, what: string): Promise<Buffer> {
    this.requireBytes(offset + length, what);
    const target = Buffer.allocUnsafeSlow(length);
    let done = 0;
    while (done < length) {
      const piece = Math.min(WINDOW_BYTES, length - done);
      const { bytesRead } = await this.#handle.read(target, done, piece, offset + done);
      if (bytesRead === 0) {
        throw new RondoError('CHECKPOINT_INVALID', `${this.path}: ended while ${what} was read`);
      }
      done += bytesRead;
    }
    return target;
  }

  /** One tensor of this file as f32. */
  async read(tensor: StoredTensor): Promise<Float32Array> {
    const { format, offset } = tensor;
    const values = new Float32Array(elementsOf(tensor.shape));
    const windowBlocks = Math.floor(WINDOW_BYTES / format.bytes);
    const totalBlocks = values.length / format.elements;
    for (let block = 0; block < totalBlocks; block += windowBlocks) {
      const end = Math.min(block + windowBlocks, totalBlocks);
      const start = offset + block * format.bytes;
      const raw = await this.bytes(start, (end - block) * format.bytes, `tensor ${tensor.name}`);
      format.decode(raw, values.subarray(block * format.elements, end * format.elements));
    }
    return values;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
