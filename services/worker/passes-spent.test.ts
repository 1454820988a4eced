import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassesSpent } from './passes-spent.ts';

const after = (maxDepth: number, ...tokens: number[]): PassesSpent => {
  const passes = new PassesSpent(maxDepth);
  for (const token of tokens) passes.spent(token);
  return passes;
};

test('nothing is expected before the first token', () => {
  assert.equal(after(4).expected, undefined);
});

test('a row that has outlasted others is expected to take as many passes as those that lasted longer', () => {
  const expected = after(4, 1, 4, 1, 2).expected!;
  assert.deepEqual(
    expected.map((passes) => Number(passes.toFixed(9))),
    [2, 3, 4, 4],
  );
});

test('while every token runs every pass, all rows are expected to take exactly as many', () => {
  const expected = after(8, ...Array<number>(1000).fill(8)).expected!;
  assert.ok(expected.every((passes) => passes === expected[0]));
});

test('a row deeper than any token so far is expected to take its next pass', () => {
  assert.deepEqual(after(3, 1, 1).expected, [1, 2, 3]);
});

test('what is expected follows the newest tokens', () => {
  const [all] = after(2, ...Array<number>(300).fill(2), ...Array<number>(300).fill(1)).expected!;
  assert.ok(all! > 1 && all! < 1.1, `${all}`);
});
