import { endianness } from 'node:os';
import { RondoError } from '@rondo/core';
import { malformed } from './fields.ts';
import * as pb from './proto-types.ts';

/** The only file that turns floats into bytes and back: row-major, contiguous, little-endian. */

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

/** Halves on their way in or out. Typed arrays of a frame's size cost their zeroing and, soon, a collection of the whole heap. */
let halfBits = new Uint16Array(0);

/** Room for `count` halves, whose content the next call overwrites. */
function halvesRoom(count: number): { bits: Uint16Array; values: Float16Array; bytes: Uint8Array } {
  if (halfBits.length < count) halfBits = new Uint16Array(2 * Math.ceil(count / 2));
  const { buffer } = halfBits;
  return {
    bits: halfBits,
    values: new Float16Array(buffer, 0, count),
    bytes: new Uint8Array(buffer, 0, count * Float16Array.BYTES_PER_ELEMENT),
  };
}

/**
 * As half-precision floats, rounded to even. What is too large for one becomes the largest of its sign, ±65504. The next call
 * overwrites them: encode them before.
 */
export function halvesOf(parts: readonly Float32Array[]): Uint8Array {
  const count = parts.reduce((length, part) => length + part.length, 0);
  const { bits, values, bytes } = halvesRoom(count);
  let offset = 0;
  for (const part of parts) {
    values.set(part, offset);
    offset += part.length;
  }
  // Infinite ones are rare: two halves are looked at together, and one by one only where such a pair is.
  const pairs = new Uint32Array(bits.buffer, 0, Math.ceil(count / 2));
  for (let pair = 0; pair < pairs.length; pair++) {
    if ((((pairs[pair]! & EXPONENTS) + LOWEST_EXPONENTS) & OVERFLOWN) !== 0) saturate(bits, 2 * pair);
  }
  return bytes;
}

const EXPONENTS = 0x7c007c00;
const LOWEST_EXPONENTS = 0x04000400;
const OVERFLOWN = 0x80008000;
const SIGNLESS = 0x7fff;
const INFINITE = 0x7c00;

function saturate(bits: Uint16Array, first: number): void {
  for (let index = first; index < first + 2; index++) {
    if ((bits[index]! & SIGNLESS) === INFINITE) bits[index]! -= 1;
  }
}

/** The half-precision floats in `bytes`, each exactly; the caller's own. */
export function floatsOfHalves(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (bytes.byteLength % Float16Array.BYTES_PER_ELEMENT !== 0)
    throw malformed('Tensor', `${bytes.byteLength} bytes are no whole number of 16-bit floats`);
  // A copy, for a view needs an even offset.
  const room = halvesRoom(bytes.byteLength / Float16Array.BYTES_PER_ELEMENT);
  room.bytes.set(bytes);
  return new Float32Array(room.values);
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
