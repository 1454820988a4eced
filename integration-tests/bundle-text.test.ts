import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestFile, MANIFEST_FILE } from '@rondo/bundle';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

test('a coordinator serves from bundle.json and the tokenizer alone, a worker refuses them', {
  timeout: 60_000,
}, async () => {
  await using bundle = await TinyBundle.make(2);
  const text = await mkdtemp(join(tmpdir(), 'rondo-text-'));
  try {
    const digest = await digestFile(join(bundle.directory, MANIFEST_FILE));
    const fetched = await RondoProcess.run(
      ...['fetch', '--from', bundle.directory, '--digest', digest, '--out', text, '--text'],
    );
    assert.equal(fetched.code, 0, fetched.stderr);
    const files = await readdir(text);
    assert.ok(files.includes('tokenizer.json'));
    assert.ok(!files.some((name) => name.endsWith('.onnx') || name === 'weights.bin'), files.join());

    await using worker = await RondoProcess.start(
      ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--threads', '1', '--kv-mb', '4'],
    );
    await using coordinator = await RondoProcess.start(
      ...['coordinator', '--model', text, '--worker', worker.ready, '--listen', '127.0.0.1:0'],
    );
    const response = await fetch(`${coordinator.ready}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt: 'a looped model', max_tokens: 4 }),
    });
    assert.equal(response.status, 200, await response.text());

    const refused = await RondoProcess.run(...['worker', '--model', text, '--listen', '127.0.0.1:0']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /listed in bundle\.json but missing/);
  } finally {
    await rm(text, { recursive: true });
  }
});
