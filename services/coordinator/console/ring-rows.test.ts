import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dotsOf } from './ring-rows.ts';

const rates = (seconds: number, entered: number, exits: readonly number[]) => ({
  ...{ seconds, tokens: 0, workers: [] },
  ...{ depths: [entered / seconds], exits: exits.map((count) => count / seconds) },
});

test('each row is a dot that leaves where its token left', () => {
  assert.deepEqual(dotsOf(rates(0.5, 4, [1, 0, 3]), 10), { rows: 1, passes: [1, 3, 3, 3] });
});

test('rows that became no token are a prompt’s and go all the way', () => {
  assert.deepEqual(dotsOf(rates(0.5, 4, [1, 1]), 10), { rows: 1, passes: [1, 2, 2, 2] });
});

test('with more rows a dot stands for several, in the same shares', () => {
  const { rows, passes } = dotsOf(rates(1, 1000, [250, 250, 500]), 20);
  assert.equal(rows, 50);
  assert.deepEqual(
    [1, 2, 3].map((depth) => passes.filter((each) => each === depth).length),
    [5, 5, 10],
  );
});

test('between frames in which nothing ran nothing moves', () => {
  assert.deepEqual(dotsOf(rates(0.5, 0, [0, 0]), 20).passes, []);
});
