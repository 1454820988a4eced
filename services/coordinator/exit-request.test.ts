import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '@rondo/bundle';
import { type ExitFields, narrowExit } from './exit-request.ts';
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

test('a policy that a request names takes its own threshold, or that of the bundle if it is the same', async () => {
  const manifest = await manifestWith({ policy: 'gate', threshold: 0.9, signals: ['gate'] });
  assert.equal(narrowExit(manifest, { exit_policy: 'none' }).policy, 'none');
  assert.equal(narrowExit(manifest, { exit_policy: 'gate' }).threshold, 0.9);
  assert.deepEqual(narrowExit(manifest, { exit_policy: 'confidence', exit_threshold: 0.5 }), {
    policy: 'confidence',
    threshold: 0.5,
    minDepth: 1,
    maxDepth: 4,
  });
});

test('recorded depths replace any policy, within the depths of the request', async () => {
  const manifest = await manifestWith({ policy: 'gate', threshold: 0.9 });
  assert.deepEqual(narrowExit(manifest, { exit_depths: [1, 4], exit_policy: 'gate', max_depth: 3 }), {
    policy: 'replay',
    threshold: 0,
    minDepth: 1,
    maxDepth: 3,
    depths: [1, 4],
  });
});

test('what the model cannot do is refused by the field that asks for it', async () => {
  const manifest = await manifestWith({ policy: 'none', signals: ['latent-diff'] });
  const refused = (fields: ExitFields, param: string, message: RegExp) =>
    assert.throws(() => narrowExit(manifest, fields), { code: 'INVALID_REQUEST', param, message });
  refused({ exit_policy: 'gate', exit_threshold: 0.5 }, 'exit_policy', /has no gate signal/);
  refused({ exit_policy: 'confidence' }, 'exit_threshold', /needs one: the model has no default/);
  refused({ exit_policy: 'latent-diff', exit_threshold: -1 }, 'exit_threshold', /0 or more, got -1/);
  refused({ exit_depths: [1, 5] }, 'exit_depths', /expected 1 to 4 passes, got 5/);
  const silent = await manifestWith({ policy: 'none', signals: [] });
  assert.throws(() => narrowExit(silent, { exit_threshold: 0.5 }), { message: /has no exit signal/ });
});
