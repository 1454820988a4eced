import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meanNegativeLogLikelihood } from './perplexity.ts';

/** Says of each row that id 1 follows with probability 3/4, and id 0 else; remembers the windows that it was given. */
class Coin {
  readonly windows: number[][] = [];

  reset(): void {
    this.windows.push([]);
  }

  async forward(ids: readonly number[]): Promise<Float32Array> {
    this.windows.at(-1)!.push(...ids);
    return Float32Array.from(ids.flatMap(() => [0, Math.log(3)]));
  }
}

const scored = async (ids: readonly number[], window: number) => {
  const coin = new Coin();
  const mean = await meanNegativeLogLikelihood(coin, ids, { window, chunkRows: 2 });
  return { mean, windows: coin.windows };
};

test('every token is scored but the first of each window, those of a shorter last one too', async () => {
  const { mean, windows } = await scored([1, 1, 1, 1, 1, 0], 4);
  assert.deepEqual(windows, [
    [1, 1, 1, 1],
    [1, 0],
  ]);
  // Three of four that follow, and the one that does not.
  assert.ok(Math.abs(mean - (3 * Math.log(4 / 3) + Math.log(4)) / 4) < 1e-6);
});

test('a rest of one token is no window: nothing in it could be scored', async () => {
  assert.deepEqual((await scored([1, 1, 1, 1, 0], 4)).windows, [[1, 1, 1, 1]]);
  assert.deepEqual((await scored([1, 1, 1, 1], 4)).windows, [[1, 1, 1, 1]]);
  assert.deepEqual((await scored([1, 1], 2)).windows, [[1, 1]]);
});
