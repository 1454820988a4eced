import assert from 'node:assert/strict';
import { appendFile, cp, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const fixture = (name: string) => new URL(`./fixtures/tiny/${name}/checkpoint`, import.meta.url).pathname;

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-inspect-'));
});
after(() => rm(root, { recursive: true, force: true }));

const inspect = (...args: string[]) => RondoProcess.run('inspect', ...args);

test('a bundle is told as its manifest says, under the digest that workers announce', async () => {
  await using bundle = await TinyBundle.make(3);
  const { digest, manifest } = await openBundle(bundle.directory);
  const { code, stdout } = await inspect(bundle.directory);
  assert.equal(code, 0);
  assert.match(stdout, /^name +tiny$/m);
  assert.match(stdout, /^layers +1 before the loop, 2 in the block, 1 after it; a token runs 8$/m);
  assert.match(stdout, /^depth +3 passes$/m);
  assert.match(stdout, new RegExp(`^digest +${digest}$`, 'm'));
  const told = JSON.parse((await inspect(bundle.directory, '--json')).stdout);
  assert.deepEqual([told.kind, told.digest, told.manifest], ['bundle', digest, manifest]);
  const { kvHeads, headDim } = manifest.shape;
  assert.equal(told.kvBytesPerToken, 8 * 2 * kvHeads * headDim * 4);
});

test('a checkpoint is told as it would be converted, looped ones with their gate', async () => {
  const { code, stdout } = await inspect(fixture('ouro'));
  assert.equal(code, 0);
  assert.match(stdout, /^source +safetensors, architecture ouro, licence/m);
  assert.match(stdout, /^depth +\d+ passes, trained looped$/m);
  assert.match(stdout, /^exits +gate, threshold/m);
  assert.match(stdout, /^ +model\.safetensors {2}/m);
  const told = JSON.parse((await inspect(fixture('llama-gqa'), '--json')).stdout);
  assert.deepEqual([told.kind, told.model.layers], ['checkpoint', 4]);
  assert.ok(told.parameters > 0);
});

test('what cannot be told ends with the file at fault and what to do, in one line', async () => {
  const line = async (path: string) => {
    const { code, stdout, stderr } = await inspect(path);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^rondo: [^\n]+\n$/);
    return stderr;
  };
  assert.match(await line(join(root, 'nowhere')), /nowhere: no such file or directory/);
  assert.match(
    await line(root),
    /not a checkpoint: expected config\.json .*; nor is it a bundle, which has a bundle\.json/,
  );
  const text = join(root, 'notes.txt');
  await writeFile(text, 'no model');
  assert.match(await line(text), /notes\.txt: /);
  const cut = join(root, 'cut');
  await cp(fixture('llama-gqa'), cut, { recursive: true });
  await truncate(join(cut, 'model.safetensors'), 60_000);
  assert.match(
    await line(cut),
    /model\.safetensors: truncated: tensor .* ends at byte \d+, the file has 60000/,
  );
  await using bundle = await TinyBundle.make(2);
  for (const part of ['weights.bin', 'bundle.json']) {
    assert.match(await line(join(bundle.directory, part)), /a file of a bundle; give its directory: /);
  }
  await appendFile(join(bundle.directory, 'weights.bin'), 'x');
  assert.match(await line(bundle.directory), /weights\.bin: expected \d+ bytes, found \d+/);
});
