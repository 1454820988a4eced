import { open, rename } from 'node:fs/promises';
import { openGgufFile } from '@rondo/converter';

/** How matrices are packed in a copy; vectors stay f32, as llama.cpp has them. */
export type GgmlPacking = 'f32' | 'q8_0' | 'q4_0';

/** ggml's type numbers. */
const TYPE = { f32: 0, q4_0: 2, q8_0: 8 } as const;
/** Elements that share one scale. */
const BLOCK = 32;
const ALIGNMENT = 32;
const VERSION = 3;

/** Writes the GGUF file at `from` to `to` with its metadata as it is and every matrix packed as `packing`. */
export async function copyGguf(from: string, to: string, packing: GgmlPacking): Promise<void> {
  const source = await openGgufFile(from);
  const partial = `${to}.partial`;
  const target = await open(partial, 'w');
  try {
    const { start, end, entries } = source.metadataAt;
    const tensors = [...source.tensors.values()].map((tensor) => {
      const elements = tensor.shape.reduce((product, size) => product * size, 1);
      const type = tensor.shape.length > 1 ? packing : 'f32';
      return { tensor, type, bytes: packedBytes(elements, type) };
    });
    const header = [
      Buffer.from('GGUF'),
      u32(VERSION),
      u64(tensors.length),
      u64(entries),
      await source.file.bytes(start, end - start, 'the metadata'),
    ];
    let offset = 0;
    for (const { tensor, type, bytes } of tensors) {
      const name = Buffer.from(tensor.name);
      const dims = [...tensor.shape].reverse().map(u64);
      header.push(u64(name.length), name, u32(dims.length), ...dims, u32(TYPE[type]), u64(offset));
      offset += aligned(bytes);
    }
    const head = Buffer.concat(header);
    await target.write(head, 0, head.length, 0);
    let at = aligned(head.length);
    for (const { tensor, type, bytes } of tensors) {
      const packed = pack(await tensor.file.read(tensor), type);
      await target.write(packed, 0, packed.length, at);
      at += aligned(bytes);
    }
    // The last tensor's padding belongs to the file.
    await target.truncate(at);
  } finally {
    await target.close();
    await source.file.close();
  }
  await rename(partial, to);
}

/** `values` in ggml's layout of `packing`; their count must be a multiple of 32 unless it is f32. */
export function pack(values: Float32Array, packing: GgmlPacking): Buffer {
  if (packing === 'f32') return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const packed = Buffer.alloc(packedBytes(values.length, packing));
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const blockBytes = packedBytes(BLOCK, packing);
  const packBlock = packing === 'q8_0' ? packQ8 : packQ4;
  for (let block = 0; block < values.length / BLOCK; block++) {
    packBlock(values.subarray(block * BLOCK, (block + 1) * BLOCK), view, block * blockBytes);
  }
  return packed;
}

/** f16 scale max|x| / 127, then 32 signed bytes (ggml-quants.c, quantize_row_q8_0_ref). */
function packQ8(block: Float32Array, view: DataView, at: number): void {
  const scale = block.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / 127;
  view.setFloat16(at, scale, true);
  for (let i = 0; i < BLOCK; i++) view.setInt8(at + 2 + i, scale === 0 ? 0 : Math.round(block[i]! / scale));
}

/** f16 scale x₋ / −8 for the value x₋ of largest size, then nibbles of x / scale + 8 (quantize_row_q4_0_ref). */
function packQ4(block: Float32Array, view: DataView, at: number): void {
  const extreme = block.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  const scale = extreme / -8;
  view.setFloat16(at, scale, true);
  const nibble = (value: number) => (scale === 0 ? 8 : Math.min(15, Math.trunc(value / scale + 8.5)));
  for (let i = 0; i < 16; i++) view.setUint8(at + 2 + i, nibble(block[i]!) | (nibble(block[i + 16]!) << 4));
}

const packedBytes = (elements: number, packing: GgmlPacking): number =>
  packing === 'f32' ? elements * 4 : (elements / BLOCK) * (2 + (packing === 'q8_0' ? 32 : 16));

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
