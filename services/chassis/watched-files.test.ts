import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LIMITS, RondoError } from '@rondo/core';
import { createLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { WatchedFiles } from './watched-files.ts';

/** The number in a file; anything else does not compile. */
const compile =
  (path: string) =>
  ([text = '']: readonly string[]): number => {
    if (!/^\d+\n?$/.test(text)) throw new RondoError('CONFIG_INVALID', `${path}: no number`);
    return Number(text);
  };

async function scene(context: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'rondo-watched-'));
  context.after(() => rm(directory, { recursive: true }));
  const metrics = new Metrics();
  const lines: string[] = [];
  const log = createLog('test', { level: 'info', to: { write: (line: string) => lines.push(line) } });
  const open = async (path: string) => {
    const files = await WatchedFiles.open({
      what: 'number',
      paths: [path],
      compile: compile(path),
      log,
      metrics,
      everyMs: 0,
    });
    context.after(() => files.close());
    return files;
  };
  return { directory, metrics, lines, open };
}

test('a file replaced by a rename, or written over, is taken at the next look', async (context) => {
  const { directory, open } = await scene(context);
  const path = join(directory, 'number');
  await writeFile(path, '1');
  const files = await open(path);
  const heard: number[] = [];
  files.onChange((value) => heard.push(value));
  await writeFile(`${path}.new`, '2');
  await rename(`${path}.new`, path);
  await files.check();
  assert.equal(files.current, 2);
  await writeFile(path, '3');
  await files.check();
  await files.check();
  assert.deepEqual(heard, [2, 3]);
});

test('a mounted ConfigMap changes when the symlink of its directory turns', async (context) => {
  const { directory, open } = await scene(context);
  const at = (name: string) => join(directory, name);
  for (const number of ['1', '2']) {
    await mkdir(at(`..${number}`));
    await writeFile(at(`..${number}/number`), number);
  }
  await symlink('..1', at('..data'));
  await symlink('..data/number', at('number'));
  const files = await open(at('number'));
  assert.equal(files.current, 1);
  await symlink('..2', at('..data_tmp'));
  await rename(at('..data_tmp'), at('..data'));
  await files.check();
  assert.equal(files.current, 2);
});

test('a malformed or missing file changes nothing, is told once, and is over when the file is sound again', async (context) => {
  const { directory, metrics, lines, open } = await scene(context);
  const path = join(directory, 'number');
  await writeFile(path, '1');
  const files = await open(path);
  const fault = async () =>
    /rondo_watched_file_fault\{what="number"\} (\d)/.exec(await metrics.render())?.[1];
  for (const spoil of [
    () => writeFile(path, 'one'),
    () => rm(path),
    () => writeFile(path, 'x'.repeat(2 ** 21)),
  ]) {
    await spoil();
    await files.check();
    await files.check();
    assert.equal(files.current, 1);
    assert.equal(await fault(), '1');
    assert.ok(files.fault?.startsWith(`${path}: `));
  }
  assert.equal(lines.length, 3);
  await writeFile(path, '1');
  await files.check();
  assert.equal(await fault(), '0');
  assert.equal(files.fault, undefined);
});

test('at start a file that cannot be used is fatal, with its name and the reason', async (context) => {
  const { directory, open } = await scene(context);
  const path = join(directory, 'number');
  await assert.rejects(open(path), { code: 'CONFIG_INVALID', message: `${path}: no such file` });
  await writeFile(path, Buffer.from([0xff, 0xfe]));
  await assert.rejects(open(path), { message: `${path}: not text` });
  await writeFile(path, '1'.repeat(LIMITS.watchedFileBytes + 1));
  await assert.rejects(open(path), { message: `${path}: larger than 1048576 bytes` });
});
