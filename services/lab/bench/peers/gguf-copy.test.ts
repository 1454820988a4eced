import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openGgufFile } from '@rondo/converter';
import { copyGguf, type GgmlPacking } from './gguf-copy.ts';

const ROWS = 3;
const COLUMNS = 64;
const MATRIX = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) => Math.sin(at) * (1 + (at % 7)));
const VECTOR = Float32Array.from({ length: COLUMNS }, (_, at) => at / 10);

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-gguf-copy-'));
  await writeFile(join(directory, 'model.gguf'), handMade());
});
after(() => rm(directory, { recursive: true }));

/** Largest error that rounding to the packing may leave: half a step of the largest block, and f16 for the scale. */
const ERROR: Readonly<Record<GgmlPacking, number>> = { f32: 0, q8_0: 7 / 127, q4_0: 7 / 8 + 0.01 };

for (const packing of ['f32', 'q8_0', 'q4_0'] as const) {
  test(`a copy packed as ${packing} reads back as the same model`, async () => {
    const path = join(directory, `${packing}.gguf`);
    await copyGguf(join(directory, 'model.gguf'), path, packing);
    const copy = await openGgufFile(path);
    try {
      assert.equal(copy.metadata.text('general.name'), 'hand-made');
      const [matrix, vector] = ['matrix', 'vector'].map((name) => copy.tensors.get(name)!);
      assert.deepEqual([matrix!.shape, matrix!.format.name], [[ROWS, COLUMNS], packing.toUpperCase()]);
      assert.equal(vector!.format.name, 'F32');
      assert.deepEqual(await copy.file.read(vector!), VECTOR);
      const values = await copy.file.read(matrix!);
      const error = Math.max(...values.map((value, at) => Math.abs(value - MATRIX[at]!)));
      assert.ok(error <= ERROR[packing], `largest error ${error}`);
    } finally {
      await copy.file.close();
    }
  });
}

/** A GGUF file with one metadata entry, one matrix and one vector, both f32. */
function handMade(): Buffer {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value: string) => [u64(value.length), Buffer.from(value)];
  const header = Buffer.concat([
    ...[Buffer.from('GGUF'), u32(3), u64(2), u64(1)],
    ...[...text('general.name'), u32(8), ...text('hand-made')],
    ...[...text('matrix'), u32(2), u64(COLUMNS), u64(ROWS), u32(0), u64(0)],
    ...[...text('vector'), u32(1), u64(COLUMNS), u32(0), u64(MATRIX.byteLength)],
  ]);
  const padding = Buffer.alloc((32 - (header.length % 32)) % 32);
  return Buffer.concat([header, padding, Buffer.from(MATRIX.buffer), Buffer.from(VECTOR.buffer)]);
}
