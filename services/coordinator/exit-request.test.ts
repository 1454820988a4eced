import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '@rondo/bundle';
import { narrowExit } from './exit-request.ts';
import { tinyBundle } from './test-bundle.ts';

const manifestWith = async (exit: Partial<Manifest['exit']>) => (await tinyBundle({ exit })).manifest;

test('a request that says nothing about depth takes the rule of the bundle', async () => {
  const manifest = await manifestWith({ policy: 'gate', threshold: 0.9, minDepth: 2 });
  assert.deepEqual(narrowExit(manifest, {}), { policy: 'gate', threshold: 0.9, minDepth: 2, maxDepth: 4 });
});

test('a threshold turns on the gate before the latent difference, on a bundle that never exits by itself', async () => {
  const both = await manifestWith({ signals: ['latent-diff', 'gate'] });
  assert.equal(narrowExit(both, { exit_threshold: 0.5 }).policy, 'gate');
  const one = await manifestWith({ signals: ['latent-diff'] });
  assert.deepEqual(narrowExit(one, { exit_threshold: 3 }), {
    policy: 'latent-diff',
    threshold: 3,
    minDepth: 1,
    maxDepth: 4,
  });
});

test('a threshold keeps the policy that the bundle chose', async () => {
  const manifest = await manifestWith({ policy: 'latent-diff', signals: ['gate', 'latent-diff'] });
  assert.equal(narrowExit(manifest, { exit_threshold: 0.1 }).policy, 'latent-diff');
});

test('a smaller max_depth draws the least depth of the bundle down with it', async () => {
  const manifest = await manifestWith({ policy: 'gate', threshold: 0.9, minDepth: 3 });
  const { minDepth, maxDepth } = narrowExit(manifest, { max_depth: 2 });
  assert.deepEqual([minDepth, maxDepth], [2, 2]);
});
