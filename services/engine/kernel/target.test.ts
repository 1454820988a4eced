import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { targetOf } from './target.ts';

const targetFor = (platform: NodeJS.Platform, arch: NodeJS.Architecture, ...flags: string[]) =>
  targetOf({ platform, arch, flags: new Set(flags) });

test('products are summed by fours where that is one instruction', () => {
  assert.equal(targetFor('linux', 'x64', 'avx2', 'avx_vnni').dots, 'fours');
  assert.equal(targetFor('linux', 'arm64', 'asimd', 'asimddp').dots, 'fours');
  assert.equal(targetFor('darwin', 'arm64').dots, 'fours');
});

test('products are summed by pairs where it is not, or nobody knows', () => {
  assert.equal(targetFor('linux', 'x64', 'avx2', 'avx512_vnni').dots, 'pairs');
  assert.equal(targetFor('linux', 'arm64', 'asimd').dots, 'pairs');
  assert.equal(targetFor('darwin', 'x64').dots, 'pairs');
  assert.equal(targetFor('win32', 'x64').dots, 'pairs');
});

test('vectors are joined where the processor has registers for two', () => {
  assert.equal(targetFor('linux', 'x64', 'avx', 'avx2', 'fma').registerVectors, 2);
  assert.equal(targetFor('linux', 'x64', 'avx').registerVectors, 1);
  assert.equal(targetFor('linux', 'arm64', 'asimd').registerVectors, 1);
  assert.equal(targetFor('win32', 'x64').registerVectors, 1);
});

test('this V8 has the option that joins them', () => {
  const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  assert.match(options, /--experimental-wasm-revectorize /);
});
