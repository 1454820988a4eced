import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Variant } from './evaluation.ts';
import { digits, speedNotes, speedRows } from './report.ts';

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

test('a speed that ended before its time is told as far as it came, and why', () => {
  const cells = [
    { exit: { kind: 'depth', passes: 1 } },
    { exit: { kind: 'threshold', policy: 'gate', threshold: 1 } },
  ];
  const speed = { memoryMiB: 100, firstTokenMs: 5, aloneTokensPerS: 9, clients: 8 };
  const upTo = (together: object[]) =>
    ({
      bytes: 1e6,
      maxDepth: 1,
      cells,
      speed: { ...speed, together },
      speedFault: 'too slow',
    }) as unknown as Variant;
  const [one, none] = [upTo([{ ...cells[0], tokensPerS: 20 }]), upTo([])];
  assert.deepEqual(speedNotes(one, 'A'), [
    'speed of A was measured in the first 1 of 2 ways of running: too slow',
  ]);
  assert.deepEqual(speedNotes(none, 'A'), ['speed of A was measured with one client alone: too slow']);
  const rows = [one, none].flatMap((variant) => speedRows(variant, 'A'));
  assert.deepEqual(
    rows.map((row) => [row['tokens/s, 1 client'], row['tokens/s, 8 clients']]),
    [
      ['9.0', '20.0'],
      ['9.0', '-'],
    ],
  );
});
