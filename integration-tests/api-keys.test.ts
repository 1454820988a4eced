import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Authority, IdentityFiles } from './certificates.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

// The processes started here log all that they can log.
process.env.RONDO_LOG = 'trace';

let bundle: TinyBundle;
let directory: string;
let file: string;
before(async () => {
  bundle = await TinyBundle.make(2);
  directory = await mkdtemp(join(tmpdir(), 'rondo-keys-'));
  file = join(directory, 'keys.txt');
});
after(async () => {
  await bundle[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function newKey(...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await RondoProcess.run('key', 'new', ...options);
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

const serve = (...options: string[]) =>
  RondoProcess.start(
    ...['run', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--workers', '1', '--threads', '1'],
    ...['--kv-mb', '64', ...options],
  );

describe('keys of a file', () => {
  test('let their clients in, follow the file, and leave no trace in any log', async () => {
    const [alice, bob] = [
      await newKey('--name', 'alice', '--file', file),
      await newKey('--name', 'bob', '--file', file),
    ];
    const hashes = [...(await readFile(file, 'utf8')).matchAll(/sha256:([0-9a-f]{64})/g)].map(
      ([, hash]) => hash!,
    );
    assert.equal(hashes.length, 2);
    await using rondo = await serve('--api-keys', file);
    const post = (key: string, body: string, path = '/v1/completions?api_key=rondo_in-the-url') =>
      fetch(rondo.ready.replace(/\/$/, '') + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body,
      });
    const ask = (key: string, fields: object = {}) =>
      post(key, JSON.stringify({ model: 'tiny', prompt: 'a secret wish', max_tokens: 4, ...fields }));
    assert.equal((await ask(alice)).status, 200);
    await (await ask(bob, { stream: true })).text();
    assert.equal((await ask('rondo_a-wild-guess')).status, 401);
    // What fails in each of its ways must not be quoted either.
    assert.equal((await ask(alice, { temperature: 'a secret mood' })).status, 400);
    assert.equal((await ask(alice, { stop: ['a secret end'], n: 99 })).status, 400);
    assert.equal((await post(alice, '{"prompt": "a secret wish", oops')).status, 400);
    assert.equal((await post(alice, '{}', '/v1/a-secret-path')).status, 404);

    // Without alice, by a rename; then malformed, which changes nothing.
    await writeFile(`${file}.new`, (await readFile(file, 'utf8')).replace(/^alice .*\n/m, ''));
    await rename(`${file}.new`, file);
    while ((await ask(alice)).status !== 401);
    assert.equal((await ask(bob)).status, 200);
    const metrics = async () =>
      (await fetch(new URL('/metrics', rondo.ready), { headers: { authorization: `Bearer ${bob}` } })).text();
    await writeFile(file, 'bob sha256:0123 # a secret note\n');
    while (!(await metrics()).includes('rondo_watched_file_fault{what="api-keys"} 1'));
    assert.equal((await ask(bob)).status, 200);
    const told = await metrics();
    assert.match(told, /rondo_api_key_requests_total\{key="alice",outcome="admit"\} [1-9]/);

    await rondo.stop();
    const log = rondo.errors;
    assert.match(log, /"level":"(debug|trace)"/);
    assert.match(log, /line 1: the second word must be sha256:/);
    const secrets = [alice, bob, ...hashes, 'rondo_', 'secret', 'sha256:0123', 'wild-guess'];
    for (const secret of secrets) {
      assert.ok(
        !log.includes(secret),
        log.split('\n').find((line) => line.includes(secret)),
      );
      assert.ok(secret === 'rondo_' || !told.includes(secret), secret);
    }
  });

  test('that are malformed at start end it, with line and reason', async () => {
    const wrong = join(directory, 'wrong.txt');
    await writeFile(wrong, '# keys\n\ncarol hunter2\n');
    const { code, stderr } = await RondoProcess.run('run', '--model', bundle.directory, '--api-keys', wrong);
    assert.equal(code, 1);
    assert.match(stderr, /^rondo: .*wrong\.txt, line 3: the second word must be sha256:/m);
    assert.doesNotMatch(stderr, /hunter2/);
  });

  test('are printed once with their line, and not twice under one name', async () => {
    const own = join(directory, 'own.txt');
    const printed = await newKey('--name', 'dave', '--rpm', '60', '--concurrent', '2');
    assert.match(printed, /^key {3}rondo_\S{43}\nline {2}dave sha256:[0-9a-f]{64} rpm=60 concurrent=2$/);
    await newKey('--name', 'dave', '--file', own);
    const before = await readFile(own, 'utf8');
    const { code, stderr } = await RondoProcess.run('key', 'new', '--name', 'dave', '--file', own);
    assert.equal(code, 1);
    assert.match(stderr, /a second key named dave/);
    assert.equal(await readFile(own, 'utf8'), before);
  });
});

test('clients are served over HTTPS, with the certificate of the moment', async () => {
  const authority = new Authority('public');
  await using files = await IdentityFiles.make(authority.issue('first'), authority.cert);
  await using rondo = await serve('--https-cert', files.path('cert'), '--https-key', files.path('key'));
  assert.match(rondo.ready, /^https:/);
  const shown = async () => {
    const asked = request(new URL('/v1/models', rondo.ready), { ca: authority.cert, agent: false });
    asked.end();
    const [response] = await once(asked, 'response');
    const name: string = response.socket.getPeerCertificate().subject.CN;
    response.resume();
    assert.equal(response.statusCode, 200);
    return name;
  };
  assert.equal(await shown(), 'first');
  await files.replace(authority.issue('second'));
  let name = 'first';
  while (name === 'first') name = await shown();
  assert.equal(name, 'second');
  await assert.rejects(fetch(rondo.ready.replace('https:', 'http:')));
});
