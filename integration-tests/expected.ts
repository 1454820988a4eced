import { readFileSync } from 'node:fs';

/**
 * Reads a safetensors file of F32 and I32 tensors that an oracle script wrote: 8 bytes of header length, a JSON header,
 * then the data. Apart from the converter's reader on purpose: a fault there must not hide itself.
 */
export function readExpected(path: string): Map<string, Float32Array | Int32Array> {
  const bytes = readFileSync(path);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array | Int32Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = entry.data_offsets.map((offset) => offset + 8 + headerBytes) as [number, number];
    const data = new Uint8Array(bytes.subarray(begin, end)).buffer;
    if (entry.dtype !== 'F32' && entry.dtype !== 'I32') throw new Error(`${path}: ${name} is ${entry.dtype}`);
    tensors.set(name, entry.dtype === 'F32' ? new Float32Array(data) : new Int32Array(data));
  }
  return tensors;
}
