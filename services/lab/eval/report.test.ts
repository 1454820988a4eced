import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Variant } from './evaluation.ts';
import { digits, speedNotes } from './report.ts';

test('a table says what is endless, and what is no number', () => {
  assert.deepEqual([0.12345, Infinity, -Infinity, Number.NaN].map(digits), ['0.1235', '∞', '-∞', '-']);
});

test('speeds of some ways of running say that there are more', () => {
  const exits = [1, 2, 3].map((threshold) => ({ kind: 'threshold', policy: 'gate', threshold }));
  const cells = [{ kind: 'depth', passes: 1 }, { kind: 'depth', passes: 2 }, ...exits].map((exit) => ({
    exit,
  }));
  const notes = (tried: number) =>
    speedNotes({ cells, speed: { together: Array(tried).fill({}) } } as unknown as Variant, 'A');
  assert.deepEqual(notes(4), []);
  assert.deepEqual(notes(3), ['speed of A was measured in the first 3 of 4 ways of running']);
});
