import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { freePort } from './free-port.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const RONDO = new URL('../rondo', import.meta.url).pathname;

test('rondo top finds a coordinator that was restarted', async () => {
  await using bundle = await TinyBundle.make(2);
  const listen = `127.0.0.1:${await freePort()}`;
  const start = () =>
    RondoProcess.start(
      ...['run', '--model', bundle.directory, '--listen', listen, '--workers', '1', '--kv-mb', '16'],
    );
  let cluster = await start();
  const top = spawn(RONDO, ['top', '--url', `http://${listen}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let told = '';
    top.stdout.on('data', (bytes: Buffer) => {
      told += bytes.toString();
    });
    /** Waits for it, and forgets all that came before. */
    const tells = async (pattern: RegExp) => {
      while (!pattern.test(told)) await once(top.stdout, 'data');
      told = '';
    };
    await tells(/depth 1/);
    await cluster.stop();
    await tells(/is away, looking for it again/);
    cluster = await start();
    await tells(/worker-1 {2}serving/);
    assert.equal(top.exitCode, null);
  } finally {
    top.kill();
    await cluster.stop();
  }
});

test('rondo top of nobody says so and ends', async () => {
  const { code, stderr } = await RondoProcess.run('top', '--url', `http://127.0.0.1:${await freePort()}`);
  assert.notEqual(code, 0);
  assert.match(stderr, /is a coordinator listening there\?/);
});
