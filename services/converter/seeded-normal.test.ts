import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededNormal } from './seeded-normal.ts';

test('draws have the mean and deviation of a standard normal distribution', () => {
  const draw = seededNormal('moments');
  const values = Array.from({ length: 20_000 }, draw);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  // Three standard errors.
  assert.ok(Math.abs(mean) < 0.0213, `${mean}`);
  assert.ok(Math.abs(variance - 1) < 0.03, `${variance}`);
});

test('the same words give the same draws and other words others', () => {
  const three = (seed: string) => Array.from({ length: 3 }, seededNormal(seed));
  assert.deepEqual(three('0 1 q'), three('0 1 q'));
  assert.notDeepEqual(three('0 1 q'), three('0 1 k'));
});
