import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { RondoError } from '@rondo/core';
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

test('work that is interrupted leaves no file, and ends as if none had been opened', async () => {
  const path = join(directory, 'result.json');
  const source = new URL('./result-file.ts', import.meta.url).href;
  const script = `
    const { ResultFile } = await import(${JSON.stringify(source)});
    await using file = await ResultFile.open(${JSON.stringify(path)});
    console.log('open');
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  assert.equal((await readdir(directory)).length, 1);
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGINT']);
  assert.deepEqual(await readdir(directory), []);
});

test('work that stops by itself when it is interrupted may still write', async () => {
  const path = join(directory, 'result.json');
  const stopped = new Promise((stop) => process.once('SIGINT', stop));
  await using file = await ResultFile.open(path);
  process.emit('SIGINT', 'SIGINT');
  await stopped;
  await file.write('as far as it came');
  assert.deepEqual(await readdir(directory), ['result.json']);
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

test('who reads a pipe waits for what is written', async () => {
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const read = readFile(pipe, 'utf8');
  await ResultFile.check(pipe);
  await using file = await ResultFile.open(pipe);
  await file.write('told');
  assert.equal(await read, 'told');
});

test('what comes in pieces is there only when it is whole', async () => {
  const path = join(directory, 'pieces');
  async function* pieces(error?: Error) {
    yield Buffer.from('one ');
    if (error) throw error;
    yield Buffer.from('two');
  }
  const broken = new RondoError('NO_WORKER', 'broken off');
  const write = async (error?: Error) => {
    await using file = await ResultFile.open(path);
    await file.write(pieces(error));
  };
  await assert.rejects(write(broken), broken);
  assert.deepEqual(await readdir(directory), []);
  await write();
  assert.equal(await readFile(path, 'utf8'), 'one two');
});

test('a place that is only checked is left as it was', async () => {
  const path = join(directory, 'result.json');
  await ResultFile.check(path);
  await ResultFile.check(undefined);
  assert.deepEqual(await readdir(directory), []);
  await assert.rejects(ResultFile.check(join(path, 'below')), { code: 'CONFIG_INVALID' });
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
