import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = new URL('..', import.meta.url);

test('make finds its bundle in a checkout with a space in its path', async () => {
  const root = await mkdtemp(join(await realpath(tmpdir()), 'rondo make-'));
  try {
    for (const name of ['Makefile', '.nvmrc']) await copyFile(new URL(name, ROOT), join(root, name));
    // A stand-in for Docker that says for which bundle it was called.
    await mkdir(join(root, 'bin'));
    await writeFile(join(root, 'bin/docker'), '#!/bin/sh\necho "$RONDO_BUNDLE: $@"\n');
    await chmod(join(root, 'bin/docker'), 0o755);
    const { stdout } = await run('make', ['down', 'BUNDLE=bundles/looped'], {
      cwd: root,
      env: { ...process.env, PATH: `${root}/bin:${process.env.PATH}` },
    });
    assert.equal(stdout, `${root}/bundles/looped: compose --file infra/compose.yaml down\n`);
  } finally {
    await rm(root, { recursive: true });
  }
});
