import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

test("ONNX Runtime's telemetry is off: a worker leaves nothing in a home where that would keep its queue", async () => {
  await using bundle = await TinyBundle.make(2);
  const home = await mkdtemp(join(tmpdir(), 'rondo-home-'));
  const before = { ...process.env };
  process.env.HOME = home;
  for (const name of ['ORT_DISABLE_TELEMETRY', 'XDG_CACHE_HOME']) delete process.env[name];
  try {
    await using worker = await RondoProcess.start(
      ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--threads', '1', '--kv-mb', '8'],
    );
    assert.match(worker.ready, /:\d+$/);
    assert.deepEqual(await readdir(home), []);
  } finally {
    process.env = before;
    await rm(home, { recursive: true });
  }
});
