import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '@rondo/bundle';
import { askedExits, savingThreshold } from './exit-thresholds.ts';

const signals = Array.from({ length: 1000 }, (_, at) => ((at * 377) % 1000) / 1000);

test('the share of signals beyond a measured threshold is the share to be saved, on the side that the policy leaves at', () => {
  for (const saving of [0.1, 0.5, 0.9]) {
    const below = signals.filter((signal) => signal < savingThreshold('latent-diff', signals, saving));
    const above = signals.filter((signal) => signal >= savingThreshold('confidence', signals, saving));
    assert.equal(below.length, saving * signals.length);
    assert.equal(above.length, saving * signals.length);
  }
});

test('a model is asked for the policies that it has signals for, and for none when every pass must run', () => {
  const manifest = (signals: readonly string[], minDepth: number, maxDepth: number) =>
    ({ maxDepth, exit: { minDepth, signals } }) as unknown as Manifest;
  const exits = { windows: 1, gate: [0.5], 'latent-diff': [], confidence: [0.9], saving: [0.2, 0.4] };
  assert.deepEqual(askedExits(manifest(['gate'], 1, 3), exits), [
    { policy: 'gate', threshold: 0.5 },
    { policy: 'gate', saving: 0.2 },
    { policy: 'gate', saving: 0.4 },
    { policy: 'confidence', threshold: 0.9 },
    { policy: 'confidence', saving: 0.2 },
    { policy: 'confidence', saving: 0.4 },
  ]);
  assert.deepEqual(askedExits(manifest(['gate'], 3, 3), exits), []);
});
