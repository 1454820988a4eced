import { endianness } from 'node:os';
import { RondoError } from '@rondo/core';
import { malformed } from './fields.ts';
import { floatsOfHalves, halvesOf } from './half-floats.ts';
import * as pb from './proto-types.ts';

/** With half-floats.ts all that turns floats into bytes and back: row-major, contiguous, little-endian. */

/** How states travel: as they are, or rounded to 11 significant bits at half the size. */
export const ACTIVATIONS = ['f32', 'f16'] as const;
export type Activations = (typeof ACTIVATIONS)[number];

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
const ELEMENT_BYTES = { f32: FLOAT_BYTES, f16: Float16Array.BYTES_PER_ELEMENT } as const;

export const bytesPerFloat = (activations: Activations): number => ELEMENT_BYTES[activations];

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

const DATA_TYPES = {
  f32: pb.DataType.DATA_TYPE_FLOAT32,
  f16: pb.DataType.DATA_TYPE_FLOAT16,
} as const;

export const dataTypeOf = (activations: Activations): number => DATA_TYPES[activations];

/** Throws PROTOCOL_MISMATCH unless `dataType` is one that states travel in. */
export function activationsOf(dataType: number, message: string): Activations {
  const activations = ACTIVATIONS.find((known) => DATA_TYPES[known] === dataType);
  if (activations) return activations;
  throw malformed(message, `data type ${dataType}, expected ${Object.values(DATA_TYPES).join(' or ')}`);
}

/** The tensor [rows, columns] whose rows are those of `parts`, in order. */
export function tensorOfRows(
  parts: readonly Float32Array[],
  rows: number,
  columns: number,
  activations: Activations,
): pb.Tensor {
  const data = activations === 'f32' ? bytesOf(parts) : halvesOf(parts);
  return { dataType: DATA_TYPES[activations], dims: [rows, columns], data };
}

/** A received matrix of floats, checked: its data has exactly rows × columns elements. */
export interface Rows {
  readonly rows: number;
  readonly columns: number;
  /** Rows `first`…`first + count − 1` in memory of their own. */
  take(first: number, count: number): Float32Array<ArrayBuffer>;
}

/** Throws PROTOCOL_MISMATCH unless `tensor` is a matrix of f32 or f16 with as much data as its dimensions say. */
export function rowsOfTensor(tensor: pb.Tensor): Rows {
  const activations = activationsOf(tensor.dataType, 'Tensor');
  const [rows, columns, ...rest] = tensor.dims;
  if (rows === undefined || columns === undefined || rest.length > 0) {
    throw malformed('Tensor', `dimensions [${tensor.dims}], expected [rows, hidden]`);
  }
  const rowBytes = columns * ELEMENT_BYTES[activations];
  if (rows * rowBytes !== tensor.data.byteLength) {
    throw malformed(
      'Tensor',
      `${tensor.data.byteLength} bytes for dimensions [${tensor.dims}] of ${activations}`,
    );
  }
  const floats = activations === 'f32' ? floatsOf : floatsOfHalves;
  return {
    rows,
    columns,
    take: (first, count) => floats(tensor.data.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
}
