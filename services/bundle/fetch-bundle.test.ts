import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { MANIFEST_FILE, openBundle } from './bundle.ts';
import { fetchBundle } from './fetch-bundle.ts';
import { presignedUrls } from './presigned-urls.ts';
import { writeTestBundle } from './test-bundle.ts';

let root: string;
let source: string;
let into: string;
let digest: string;
let server: Server;
let url: string;
let asked: string[];
/** What the server wants to be told; undefined: nothing. */
let wanted: string | undefined;
/** What the server signs each file's URL with; undefined: it signs none. */
let signature: string | undefined;
const signatureOf = (path: string) => `?signed=${sha256(`${signature}${path}`)}`;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-fetch-'));
  [source, into] = [join(root, 'source'), join(root, 'into')];
  digest = await writeTestBundle(source);
  asked = [];
  wanted = undefined;
  signature = undefined;
});
afterEach(() => rm(root, { recursive: true }));
before(async () => {
  server = createServer(async (request, response) => {
    asked.push(request.url!);
    if (wanted !== undefined && request.headers.authorization !== wanted)
      return void response.writeHead(401).end();
    const { pathname, search } = new URL(request.url!, url);
    if (signature !== undefined && search !== signatureOf(pathname))
      return void response.writeHead(403).end();
    const content = await readFile(join(source, pathname.slice('/models/'.length))).catch(() => undefined);
    response.writeHead(content === undefined ? 404 : 200).end(content);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex');
const fetched = () => readdir(into).then((names) => names.sort());

for (const [what, from] of [
  ['a directory', () => source],
  ['a server', () => url],
] as const) {
  test(`a bundle comes from ${what} whole, and nothing else beside it`, async () => {
    const bundle = await fetchBundle(from(), digest, into);
    assert.equal(bundle.digest, digest);
    assert.deepEqual(await fetched(), (await readdir(source)).sort());
  });

  test(`another bundle at ${what} than the one asked for is refused before any of it is written`, async () => {
    await assert.rejects(fetchBundle(from(), sha256('another'), into), {
      code: 'BUNDLE_INVALID',
      message: new RegExp(`expected the bundle ${sha256('another')}, found ${digest}`),
    });
    assert.deepEqual(await fetched(), []);
  });

  test(`a file at ${what} with other bytes is refused by name and not kept`, async () => {
    const { size } = await stat(join(source, 'weights.bin'));
    for (const wrong of ['x'.repeat(size), 'x'.repeat(size + 1), 'x'.repeat(size - 1)]) {
      await writeFile(join(source, 'weights.bin'), wrong);
      await assert.rejects(fetchBundle(from(), digest, into), {
        code: 'BUNDLE_INVALID',
        message: /weights\.bin: expected/,
      });
      assert.ok((await fetched()).every((name) => !name.startsWith('weights.bin') && name !== MANIFEST_FILE));
    }
  });

  test(`what is missing at ${what} is told by name`, async () => {
    await rm(join(source, 'weights.bin'));
    await assert.rejects(fetchBundle(from(), digest, into), {
      code: 'SOURCE_UNREACHABLE',
      message: /weights\.bin cannot be read/,
    });
  });
}

test('of the text alone, neither graphs nor weights are fetched, and it opens as that and as no whole bundle', async () => {
  const text = await writeTestBundle(source, (manifest) => {
    manifest.tokenizer = { tokenizer: 'head.onnx' };
  });
  const bundle = await fetchBundle(url, text, into, { part: 'text' });
  assert.equal(bundle.digest, text);
  assert.deepEqual(asked, [`/models/${MANIFEST_FILE}`, '/models/head.onnx']);
  assert.deepEqual(await fetched(), [MANIFEST_FILE, 'head.onnx']);
  assert.equal((await openBundle(into, 'text')).digest, text);
  await assert.rejects(openBundle(into), {
    code: 'BUNDLE_INVALID',
    message: /listed in bundle\.json but missing/,
  });
  await writeFile(join(into, 'head.onnx'), 'another text');
  await assert.rejects(openBundle(into, 'text'), { code: 'BUNDLE_INVALID', message: /head\.onnx: expected/ });
});

test('a full disk is told by the file and what helps, and is no fault of the source', async () => {
  await mkdir(into);
  for (const name of ['weights.bin', MANIFEST_FILE]) {
    // Every write to it fails as on a full disk.
    await symlink('/dev/full', join(into, `${name}.part`));
    await assert.rejects(fetchBundle(url, digest, into), {
      code: 'CONFIG_INVALID',
      message: `${join(into, name)}: cannot be written: the disk is full; free some space or choose another --out`,
    });
    await rm(join(into, `${name}.part`));
  }
  await fetchBundle(url, digest, into);
});

test('what is there and whole is not fetched again', async () => {
  await fetchBundle(url, digest, into);
  await writeFile(join(into, 'head.onnx'), 'broken off');
  asked = [];
  await fetchBundle(url, digest, into);
  assert.deepEqual(asked, [`/models/${MANIFEST_FILE}`, '/models/head.onnx']);
});

test('a manifest that would write outside of the directory, or is no manifest at all, is refused', async () => {
  const lie = async (content: string, message: RegExp) => {
    await writeFile(join(source, MANIFEST_FILE), content);
    await assert.rejects(fetchBundle(source, sha256(content), into), { code: 'BUNDLE_INVALID', message });
  };
  await lie(JSON.stringify({ files: [{ path: '../x', bytes: 1, sha256: 'a' }] }), /no plain file name/);
  await lie('x'.repeat(LIMITS.manifestBytes + 1), /exceeds/);
});

test('a server that asks for authorization is given it with every request, and no message holds it', async () => {
  wanted = 'Bearer a-secret';
  const refused = await fetchBundle(url, digest, into, { authorization: 'Bearer another' }).then(
    () => assert.fail('it was let in'),
    (error: Error) => error,
  );
  assert.match(refused.message, /the server answers 401/);
  assert.doesNotMatch(refused.message, /another/);
  const bundle = await fetchBundle(url, digest, into, { authorization: wanted });
  assert.equal(bundle.digest, digest);
  assert.ok(asked.length > 2);
});

const signed = async (leftOut?: string) => {
  const names = (await readdir(source)).filter((name) => name !== leftOut);
  const lines = names.map((name) => `${url}${name}${signatureOf(`/models/${name}`)}`);
  return presignedUrls(lines.join('\n'), url);
};

test('an object store that knows nobody gives each file at the URL that was signed for it, and bytes are held to the digest', async () => {
  signature = 'a-secret';
  const presigned = await signed();
  await assert.rejects(fetchBundle(url, digest, into), /the server answers 403$/);
  const bundle = await fetchBundle(url, digest, into, { presigned });
  assert.equal(bundle.digest, digest);
  assert.deepEqual(await fetched(), (await readdir(source)).sort());
  await rm(into, { recursive: true });
  const { size } = await stat(join(source, 'weights.bin'));
  await writeFile(join(source, 'weights.bin'), 'x'.repeat(size));
  await assert.rejects(fetchBundle(url, digest, into, { presigned }), {
    code: 'BUNDLE_INVALID',
    message: /weights\.bin: expected/,
  });
});

test('a presigned URL whose time is past, or that is missing, is told by the file, and no message holds a signature', async () => {
  signature = 'a-secret';
  const [presigned, partly] = [await signed(), await signed('weights.bin')];
  await assert.rejects(fetchBundle(url, digest, into, { presigned: partly }), {
    code: 'SOURCE_UNREACHABLE',
    message: /weights\.bin cannot be read: no presigned URL is of it/,
  });
  signature = 'another';
  const refused = await fetchBundle(url, digest, into, { presigned }).then(
    () => assert.fail('it was let in'),
    (error: Error) => error,
  );
  assert.match(refused.message, /bundle\.json cannot be read: the server answers 403; .* sign it again/);
  assert.doesNotMatch(refused.message, /signed=/);
});

test('a server that is not there is told with its reason', async () => {
  const gone = createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  gone.close();
  await once(gone, 'close');
  await assert.rejects(fetchBundle(`http://127.0.0.1:${port}/a`, digest, into), {
    code: 'SOURCE_UNREACHABLE',
    message: /\/a: bundle\.json cannot be read: .*ECONNREFUSED/,
  });
});
