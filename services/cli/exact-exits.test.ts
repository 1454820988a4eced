import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactExits } from './exact-exits.ts';

test('a way of leaving is a policy and a threshold that it can reach, and nothing behind it', () => {
  assert.deepEqual(exactExits('gate:0.5,latent-diff:1e-3,confidence:1'), [
    { policy: 'gate', threshold: 0.5 },
    { policy: 'latent-diff', threshold: 0.001 },
    { policy: 'confidence', threshold: 1 },
  ]);
  for (const value of [
    ...['', 'gate', 'gate:', 'none:1', 'gate:0.5:7', 'gate:0x1', 'gate:-1', 'gate:0', 'gate: 0.5'],
    ...['confidence:90', 'gate:1.01', 'latent-diff:Infinity', 'latent-diff:1e999', 'gate:0.5,'],
  ]) {
    assert.throws(
      () => exactExits(value),
      { code: 'CONFIG_INVALID', message: /^--exits \S.*: expected / },
      value,
    );
  }
});

test('ways that are given one after another are all tried', () => {
  assert.deepEqual(exactExits('gate:0.5', exactExits('confidence:0.9')), [
    { policy: 'confidence', threshold: 0.9 },
    { policy: 'gate', threshold: 0.5 },
  ]);
});
