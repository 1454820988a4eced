import { type FileHandle, open } from 'node:fs/promises';
import { diskReason } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { WeightRef } from './graph.ts';
import type { DataType } from './onnx-model.ts';

/** ONNX Runtime maps external data into memory; offsets on page boundaries let it. */
const ALIGNMENT_BYTES = 4096;
/** Node writes at most 2 GiB in one call. */
const PIECE_BYTES = 1 << 26;

/** Appends tensors to the bundle's external data file. */
export class WeightsFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #name: string;
  readonly #pieceBytes: number;
  #offset = 0;

  private constructor(handle: FileHandle, path: string, name: string, pieceBytes: number) {
    this.#handle = handle;
    this.#path = path;
    this.#name = name;
    this.#pieceBytes = pieceBytes;
  }

  /**
   * Tensors of any size are written in pieces of at most `pieceBytes`.
   * @throws RondoError CONFIG_INVALID when the file cannot be made, as on a disk without a free inode.
   */
  static async create(path: string, name: string, pieceBytes = PIECE_BYTES): Promise<WeightsFile> {
    const handle = await open(path, 'wx').catch((cause: unknown) => {
      throw diskError(path, 0, cause);
    });
    return new WeightsFile(handle, path, name, pieceBytes);
  }

  /**
   * Opens a weights file to append more tensors; what lies in it stays where it is.
   * @throws RondoError CONFIG_INVALID when it cannot be opened.
   */
  static async extend(path: string, name: string): Promise<WeightsFile> {
    const handle = await open(path, 'r+').catch((cause: unknown) => {
      throw diskError(path, 0, cause);
    });
    const file = new WeightsFile(handle, path, name, PIECE_BYTES);
    file.#offset = (await handle.stat()).size;
    return file;
  }

  /** @throws RondoError CONFIG_INVALID when the disk is full. */
  async append(data: Float32Array | Uint8Array | Int8Array, dims: readonly number[]): Promise<WeightRef> {
    const type = typeOf(data);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const offset = Math.ceil(this.#offset / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    await this.#writeAll(bytes, offset);
    this.#offset = offset + bytes.byteLength;
    return { file: this.#name, offset, bytes: bytes.byteLength, type, dims };
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #writeAll(bytes: Uint8Array, start: number): Promise<void> {
    let written = 0;
    while (written < bytes.byteLength) {
      const { bytesWritten } = await this.#handle
        .write(bytes, written, Math.min(this.#pieceBytes, bytes.byteLength - written), start + written)
        .catch((cause: unknown) => {
          throw diskError(this.#path, start + bytes.byteLength, cause);
        });
      written += bytesWritten;
    }
  }
}

const typeOf = (data: Float32Array | Uint8Array | Int8Array): DataType =>
  data instanceof Float32Array ? 'float32' : data instanceof Int8Array ? 'int8' : 'uint8';

/** Names the file and what was being written, most usefully when the disk is full. */
export function diskError(path: string, bytes: number, cause: unknown): RondoError {
  const reason = diskReason(cause, '--out') ?? String(cause);
  return new RondoError('CONFIG_INVALID', `${path}: writing byte ${bytes} failed: ${reason}`, { cause });
}
