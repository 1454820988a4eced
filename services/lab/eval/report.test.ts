import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digits } from './report.ts';

test('a table says what is endless, and what is no number', () => {
  assert.deepEqual([0.12345, Infinity, -Infinity, Number.NaN].map(digits), ['0.1235', '∞', '-∞', '-']);
});
