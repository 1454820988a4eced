import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdapterMatrix } from '@rondo/converter';
import { conversionTable } from './conversion-table.ts';

const matrix = (target: 'q' | 'down', rank: number, share: number): AdapterMatrix => ({
  layer: 0,
  depth: 0,
  target,
  rank,
  share,
  parameters: 1,
  bytes: 4,
});

const size = (parameters: number) => ({ parameters, bytes: 4 * parameters });

test('sizes stand beside what they were, and matrices of one kind beside each other', () => {
  const sizes = { source: size(2e6), written: size(1.5e6), factors: size(5e5) };
  const table = conversionTable(sizes, [
    matrix('q', 8, 0.25),
    matrix('q', 8, 0.75),
    matrix('down', 2, 1),
    matrix('down', 64, 0.9),
  ]);
  assert.match(table, /before +2\.00 M +8\.00 M +100\.0 %/);
  assert.match(table, /after +1\.50 M +6\.00 M +75\.0 %/);
  assert.match(table, /its factors +0\.50 M +2\.00 M/);
  assert.match(table, /^q +8 +50\.0 % +25\.0 % +75\.0 %$/m);
  assert.match(table, /^down +2-64 +95\.0 % +90\.0 % +100\.0 %$/m);
});

test('without factors there are sizes only', () => {
  const table = conversionTable({ source: size(2e6), written: size(1e6), factors: size(0) }, []);
  assert.doesNotMatch(table, /factors|energy/);
});
