import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const RONDO = new URL('../rondo', import.meta.url).pathname;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`a pull that ${signal} ends says how to go on and leaves no lock behind`, async (context) => {
    const cache = await mkdtemp(join(tmpdir(), 'rondo-pull-command-'));
    context.after(() => rm(cache, { recursive: true, force: true }));
    const config = { type: 'file', path: 'config.json', oid: '0', size: 2 };
    const weights = { type: 'file', path: 'model.safetensors', oid: '0', size: 2 };
    const server = createServer((request, response) => {
      // A file never comes.
      if (request.url!.includes('/tree/')) {
        response.setHeader('content-type', 'application/json').end(JSON.stringify([config, weights]));
      } else server.emit('asked');
    }).listen(0, '127.0.0.1');
    context.after(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const pulling = spawn(RONDO, ['pull', 'someone/tiny', '--cache', cache], {
      env: { ...process.env, HF_ENDPOINT: url, HF_TOKEN: '', NODE_USE_ENV_PROXY: '0' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    pulling.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    const ended = once(pulling, 'close');
    await Promise.race([once(server, 'asked'), ended]);
    pulling.kill(signal);
    assert.deepEqual(await ended, [1, null], errors);
    assert.match(errors, /pull of someone\/tiny stopped; the next one goes on from .*someone--tiny\.partial/);
    assert.deepEqual(await readdir(cache), ['someone--tiny.partial']);
  });
}

test('where no file may grow the pull ends with the place and a remedy, and leaves no empty lock', async (context) => {
  const cache = await mkdtemp(join(tmpdir(), 'rondo-pull-command-'));
  context.after(() => rm(cache, { recursive: true, force: true }));
  const told = await new Promise<string>((resolve) => {
    const script = 'ulimit -f 0; exec "$1" pull someone/tiny --cache "$2"';
    // What Node keeps of its compilation could not be written either.
    const env = { ...process.env, NODE_COMPILE_CACHE: '' };
    execFile('sh', ['-c', script, 'sh', RONDO, cache], { env }, (_, _stdout, stderr) => resolve(stderr));
  });
  assert.match(
    told,
    /rondo: \S*\/someone--tiny: cannot be written: files may not grow .*choose another --cache/,
  );
  assert.deepEqual(await readdir(cache), []);
});
