import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WeightsFile } from './weights-file.ts';
import { WeightsReader } from './weights-reader.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-weights-'));
});
after(() => rm(directory, { recursive: true, force: true }));

test('a tensor larger than one write lies in the file as a smaller one does', async () => {
  const values = Float32Array.from({ length: 100 }, (_, at) => Math.sin(at));
  const written = async (name: string, pieceBytes?: number) => {
    const path = join(directory, name);
    const file = await WeightsFile.create(path, name, pieceBytes);
    await file.append(values.subarray(0, 3), [3]);
    const ref = await file.append(values, [10, 10]);
    await file.close();
    const reader = await WeightsReader.open(path);
    assert.deepEqual(await reader.floats(ref), values);
    await reader.close();
    return readFile(path);
  };
  // Neither divides 400 bytes.
  const whole = await written('whole');
  for (const pieceBytes of [7, 64])
    assert.deepEqual(await written(`pieces-${pieceBytes}`, pieceBytes), whole);
  assert.equal(whole.length, 4096 + 400);
});

test('a file that is not there cannot be extended, and is named', async () => {
  const path = join(directory, 'nowhere', 'weights.bin');
  await assert.rejects(WeightsFile.extend(path, 'weights.bin'), {
    code: 'CONFIG_INVALID',
    message: /nowhere/,
  });
  await assert.rejects(stat(path));
});
