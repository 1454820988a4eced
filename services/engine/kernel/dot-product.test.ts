import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dotProductOf } from './dot-product.ts';

const chosen = (platform: NodeJS.Platform, arch: NodeJS.Architecture, ...flags: string[]) =>
  dotProductOf({ platform, arch, flags: new Set(flags) });

test('products are summed by fours where that is one instruction', () => {
  assert.equal(chosen('linux', 'x64', 'avx2', 'avx_vnni'), 'fours');
  assert.equal(chosen('linux', 'arm64', 'asimd', 'asimddp'), 'fours');
  assert.equal(chosen('darwin', 'arm64'), 'fours');
});

test('products are summed by pairs where it is not, or nobody knows', () => {
  assert.equal(chosen('linux', 'x64', 'avx2', 'avx512_vnni'), 'pairs');
  assert.equal(chosen('linux', 'arm64', 'asimd'), 'pairs');
  assert.equal(chosen('darwin', 'x64'), 'pairs');
  assert.equal(chosen('win32', 'x64'), 'pairs');
});
