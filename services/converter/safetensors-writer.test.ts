import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Fields } from './fields.ts';
import { openSafetensors } from './safetensors.ts';
import { type WrittenTensor, writeModelTensors, writeSafetensors } from './safetensors-writer.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-safetensors-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const tensor = (name: string, shape: number[], values: ArrayLike<number>): WrittenTensor => ({
  name,
  shape,
  read: async () => Float32Array.from(values),
});

test("what is written equals the reference library's file, byte for byte", async () => {
  const path = join(directory, 'ours.safetensors');
  await writeSafetensors(path, [
    tensor(
      'a.weight',
      [3, 4],
      Float32Array.from({ length: 12 }, (_, at) => at / 7),
    ),
    tensor('b', [3], [-1.5, 0, 3e-42]),
    tensor('model.layers.0.self_attn.q_proj.weight', [1, 5], Array(5).fill(2 ** -20)),
  ]);
  const fixture = new URL('../../integration-tests/fixtures/safetensors/python.safetensors', import.meta.url);
  assert.deepEqual(await readFile(path), await readFile(fixture));
});

test('data begin on a multiple of 8 whatever the names', async () => {
  for (let length = 1; length <= 9; length++) {
    const path = join(directory, 'aligned.safetensors');
    await writeSafetensors(path, [tensor('n'.repeat(length), [1], [7])]);
    const bytes = await readFile(path);
    assert.equal(Number(bytes.readBigUInt64LE()) % 8, 0);
    assert.equal(bytes.readFloatLE(bytes.length - 4), 7);
  }
});

test('more than a shard holds is split, and read again as one', async () => {
  const out = await mkdtemp(join(directory, 'shards-'));
  const tensors = [5, 3, 9, 1, 1].map((size, at) => tensor(`t${at}`, [size], Array(size).fill(at)));
  let steps = 0;
  await writeModelTensors(out, tensors, () => steps++, 32);
  assert.equal(steps, 5);
  assert.deepEqual((await readdir(out)).sort(), [
    'model-00001-of-00003.safetensors',
    'model-00002-of-00003.safetensors',
    'model-00003-of-00003.safetensors',
    'model.safetensors.index.json',
  ]);
  const index = await readFile(join(out, 'model.safetensors.index.json'), 'utf8');
  assert.equal(JSON.parse(index).metadata.total_size, 4 * 19);
  const { files, tensors: found } = await openSafetensors(out, Fields.parse('index', index));
  for (const [at, { name, shape }] of tensors.entries()) {
    const values = await found.get(name)!.file.read(found.get(name)!);
    assert.deepEqual([...values], Array(shape[0]).fill(at));
  }
  for (const file of files) await file.close();
});

test('a full disk is named, and an error of the source is its own', async () => {
  await assert.rejects(writeSafetensors('/dev/full', [tensor('a', [1], [1])]), {
    code: 'CONFIG_INVALID',
    message: /\/dev\/full.*disk is full/,
  });
  const broken: WrittenTensor = {
    name: 'a',
    shape: [1],
    read: () => Promise.reject(new Error('no such thing')),
  };
  await assert.rejects(writeSafetensors(join(directory, 'broken'), [broken]), /no such thing/);
});
