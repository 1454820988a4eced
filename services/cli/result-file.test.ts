import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ResultFile } from './result-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-result-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('work that fails leaves no file, and an older one as it was', async () => {
  const path = join(directory, 'result.json');
  const failing = async () => {
    await using _ = await ResultFile.open(path);
    throw new Error('no result');
  };
  await assert.rejects(failing(), /no result/);
  assert.deepEqual(await readdir(directory), []);
  await writeFile(path, 'older');
  await assert.rejects(failing(), /no result/);
  assert.deepEqual(await readdir(directory), ['result.json']);
  assert.equal(await readFile(path, 'utf8'), 'older');
});

test('a result replaces an older one, through a link too', async () => {
  const [path, link] = [join(directory, 'result.json'), join(directory, 'link.json')];
  await writeFile(path, 'older and longer');
  await symlink('result.json', link);
  await using file = await ResultFile.open(link);
  assert.equal(await readFile(path, 'utf8'), 'older and longer');
  await file.write('new');
  assert.equal(await readFile(path, 'utf8'), 'new');
  assert.deepEqual((await readdir(directory)).sort(), ['link.json', 'result.json']);
});

test('what is no plain file is written to and stays what it is', async () => {
  await using file = await ResultFile.open('/dev/null');
  await file.write('gone');
  await using again = await ResultFile.open('/dev/null');
  await again.write('gone too');
});

test('a place that cannot be written is told before the work, with its path', async () => {
  await mkdir(join(directory, 'folder'));
  for (const path of [join(directory, 'nowhere', 'result.json'), join(directory, 'folder')]) {
    await assert.rejects(ResultFile.open(path), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`^${path}: cannot be written`),
    });
  }
});
