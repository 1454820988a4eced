import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { remembered } from './remembered.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-remembered-'));
});
after(() => rm(directory, { recursive: true }));

test('what was found for a key is found once', async () => {
  let times = 0;
  const find = async () => ({ times: ++times, way: { kind: 'average' } });
  for (let again = 0; again < 2; again++) {
    assert.deepEqual(await remembered(directory, ['a'], find), { times: 1, way: { kind: 'average' } });
  }
  assert.equal((await remembered(directory, ['b'], find)).times, 2);
});

test('what was remembered with a null for a figure is found again, and remembered', async () => {
  const own = join(directory, 'nulls');
  const find = async () => ({ quality: { kl: 0.5 } });
  await remembered(own, ['a'], find);
  const [file] = await readdir(own);
  await writeFile(join(own, file!), '{"quality":{"kl":null}}');
  assert.deepEqual(await remembered(own, ['a'], find), { quality: { kl: 0.5 } });
  const never = () => assert.fail('found again');
  assert.deepEqual(await remembered(own, ['a'], never), { quality: { kl: 0.5 } });
});

test('a figure that is not finite is told as it is, and found again', async () => {
  for (const kl of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const find = async () => ({ quality: { kl } });
    for (let again = 0; again < 2; again++) {
      assert.deepEqual(await remembered(directory, [String(kl)], find), { quality: { kl } });
    }
  }
});
