import { endianness } from 'node:os';
import { RondoError } from '@rondo/core';
import { malformed } from './fields.ts';
import * as pb from './proto-types.ts';

/** The only file that turns floats into bytes and back: row-major, contiguous, little-endian. */

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

if (endianness() !== 'LE') {
  throw new RondoError(
    'CONFIG_INVALID',
    'Rondo needs a little-endian processor: tensors travel in memory order',
  );
}

/** The bytes of `parts` one after another. A single part is not copied: leave it unchanged until it is encoded. */
export function bytesOf(parts: readonly Float32Array[]): Uint8Array {
  const views = parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return views.length === 1 ? views[0]! : Buffer.concat(views);
}

/**
 * The floats in `bytes`, bit for bit. Always a copy, which is the caller's own: protobufjs hands out views into the
 * received frame, at offsets that a Float32Array cannot take; a view would keep the whole frame alive, and could not
 * be transferred to another thread without its neighbours.
 */
export function floatsOf(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (bytes.byteLength % FLOAT_BYTES !== 0) {
    throw malformed('Tensor', `${bytes.byteLength} bytes are no whole number of 32-bit floats`);
  }
  const floats = new Float32Array(bytes.byteLength / FLOAT_BYTES);
  new Uint8Array(floats.buffer).set(bytes);
  return floats;
}

/** The tensor [rows, columns] whose rows are those of `parts`, in order. */
export function tensorOfRows(parts: readonly Float32Array[], rows: number, columns: number): pb.Tensor {
  return { dataType: pb.DataType.DATA_TYPE_FLOAT32, dims: [rows, columns], data: bytesOf(parts) };
}

/** A received matrix of 32-bit floats, checked: its data has exactly rows × columns elements. */
export interface Rows {
  readonly rows: number;
  readonly columns: number;
  /** Rows `first`…`first + count − 1` in memory of their own. */
  take(first: number, count: number): Float32Array<ArrayBuffer>;
}

/** Throws PROTOCOL_MISMATCH unless `tensor` is a float32 matrix with as much data as its dimensions say. */
export function rowsOfTensor(tensor: pb.Tensor): Rows {
  if (tensor.dataType !== pb.DataType.DATA_TYPE_FLOAT32) {
    throw malformed(
      'Tensor',
      `data type ${tensor.dataType}, expected ${pb.DataType.DATA_TYPE_FLOAT32} (float32)`,
    );
  }
  const [rows, columns, ...rest] = tensor.dims;
  if (rows === undefined || columns === undefined || rest.length > 0) {
    throw malformed('Tensor', `dimensions [${tensor.dims}], expected [rows, hidden]`);
  }
  if (rows * columns * FLOAT_BYTES !== tensor.data.byteLength) {
    throw malformed('Tensor', `${tensor.data.byteLength} bytes for dimensions [${tensor.dims}] of float32`);
  }
  const rowBytes = columns * FLOAT_BYTES;
  return {
    rows,
    columns,
    take: (first, count) => floatsOf(tensor.data.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
}
