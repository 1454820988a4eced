import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchTurns, batchWorkload } from './batch-turns.ts';

test('within a repeat all loads have one seed, and every other repeat runs them the other way round', () => {
  const repeats = batchTurns(1, 3);
  assert.deepEqual(
    repeats.map((turns) => turns.map(({ load }) => load)),
    [
      ['interactive', 'batch', 'both'],
      ['both', 'batch', 'interactive'],
      ['interactive', 'batch', 'both'],
    ],
  );
  const seeds = repeats.map((turns) => new Set(turns.map(({ seed }) => seed)));
  assert.deepEqual(
    seeds.map(({ size }) => size),
    [1, 1, 1],
  );
  assert.equal(new Set(repeats.flat().map(({ seed }) => seed)).size, 3);
});

test('without and beside the batch the requests are as long, and no prompt is one that was run before', () => {
  const sent = (of: 'interactive' | 'both') =>
    Array.from({ length: 20 }, (_, index) => batchWorkload(of, 101).request(index));
  const [alone, beside] = [sent('interactive'), sent('both')];
  const lengths = (requests: typeof alone) =>
    requests.map(({ promptIds, maxTokens }) => [promptIds.length, maxTokens]);
  assert.deepEqual(lengths(alone), lengths(beside));
  const ids = new Set(alone.flatMap(({ promptIds }) => promptIds));
  assert.deepEqual(
    beside.flatMap(({ promptIds }) => promptIds).filter((id) => ids.has(id)),
    [],
  );
});
