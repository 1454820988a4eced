import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SamplingParams } from '@rondo/core';
import fc from 'fast-check';
import { uniform } from './counter-random.ts';
import type { HeadRow } from './engine.ts';
import { logprobOf, needsLogits, sample, topLogprobs } from './sampler.ts';

const PLAIN: SamplingParams = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
};
const NOTHING = { prompt: [], output: [] };

/** What the head graph returns for these logits. */
function headRow(values: readonly number[], candidates: number, withLogits: boolean): HeadRow {
  const logits = Float32Array.from(values);
  const ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, candidates);
  const largest = logits[ids[0]!]!;
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return {
    topIds: Int32Array.from(ids),
    topLogits: Float32Array.from(ids, (id) => logits[id]!),
    logSumExp: Math.fround(largest + Math.log(sum)),
    ...(withLogits && { logits }),
  };
}

/** The same choice spelled out over the whole vocabulary in plain arithmetic. */
function reference(values: readonly number[], params: SamplingParams, index: number): number {
  const logits = values.map(Math.fround);
  let kept = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (params.temperature === 0) return kept[0]!;
  const weight = (id: number) => Math.exp((logits[id]! - logits[kept[0]!]!) / params.temperature);
  const massUpTo = (count: number) => kept.slice(0, count).reduce((sum, id) => sum + weight(id), 0);
  if (params.topK > 0) kept = kept.slice(0, params.topK);
  const enough = params.topP * massUpTo(kept.length);
  if (params.topP < 1) kept = kept.filter((_, rank) => massUpTo(rank) < enough);
  kept = kept.filter((id) => weight(id) >= params.minP);
  const target = uniform(params.seed, index) * massUpTo(kept.length);
  return kept.find((_, rank) => massUpTo(rank + 1) > target) ?? kept[0]!;
}

// Multiples of ½ make ties common and keep sums away from the edges where rounding decides.
const vocabulary = fc.array(
  fc.integer({ min: -12, max: 12 }).map((half) => half / 2),
  {
    minLength: 8,
    maxLength: 60,
  },
);
const parameters = fc.record({
  temperature: fc.constantFrom(0, 0.3, 0.7, 1, 1, 1, 1.9),
  topP: fc.constantFrom(1, 1, 0.95, 0.5, 0.01),
  topK: fc.constantFrom(0, 0, 1, 3, 20, 1000),
  minP: fc.constantFrom(0, 0, 0.03, 0.4),
  seed: fc.nat(0xffffffff),
});

test('candidates and full logits choose the same token, the one of plain arithmetic', () => {
  let decidedByCandidates = 0;
  fc.assert(
    fc.property(vocabulary, parameters, fc.nat(50), (values, chosen, index) => {
      const params = { ...PLAIN, ...chosen };
      const full = sample(headRow(values, 8, true), params, NOTHING, index);
      const few = sample(headRow(values, 8, false), params, NOTHING, index);
      assert.ok(full !== 'needs-logits');
      assert.equal(full.id, reference(values, params, index));
      if (few === 'needs-logits') return;
      decidedByCandidates++;
      assert.deepEqual(few, full);
      assert.equal(needsLogits(params, 8), false);
    }),
    // A fixed seed: where a draw meets a boundary, the rounding of logSumExp to f32 may rightly decide otherwise.
    { numRuns: 2000, seed: 135 },
  );
  assert.ok(decidedByCandidates > 500);
});

test('full logits choose the same token whether candidates are few or all', () => {
  fc.assert(
    fc.property(vocabulary, parameters, (values, chosen) => {
      const params = { ...PLAIN, ...chosen };
      const choose = (candidates: number) => sample(headRow(values, candidates, true), params, NOTHING, 0);
      assert.deepEqual(choose(1), choose(values.length));
    }),
  );
});

test('greedy takes the largest logit and of equal ones the lowest id', () => {
  const row = headRow([1, 3, 3, 2], 2, false);
  assert.equal((sample(row, { ...PLAIN, temperature: 0 }, NOTHING, 0) as { id: number }).id, 1);
});

test('the logprob is the one of the model, whatever the temperature and the penalties', () => {
  const values = [0, 1, 2, 3];
  const row = headRow(values, 4, true);
  const expected = 3 - row.logSumExp;
  for (const change of [
    { temperature: 0 },
    { temperature: 5, topK: 1 },
    { temperature: 0, presencePenalty: 0.5 },
  ]) {
    const chosen = sample(row, { ...PLAIN, ...change }, { prompt: [], output: [3] }, 0);
    assert.deepEqual(chosen, { id: 3, logprob: expected });
  }
  assert.equal(logprobOf(row, 0), -row.logSumExp);
  assert.deepEqual(
    topLogprobs(row, 2).map(({ id }) => id),
    [3, 2],
  );
});

test('penalties count as the API says: presence once, frequency each time, repetition on the prompt too', () => {
  const row = headRow([2, 1.9, 1.8, -1], 2, true);
  const greedy = (params: Partial<SamplingParams>, prompt: number[], output: number[]) =>
    (sample(row, { ...PLAIN, temperature: 0, ...params }, { prompt, output }, 0) as { id: number }).id;
  assert.equal(greedy({ presencePenalty: 0.15 }, [0], []), 0, 'the prompt is not penalised by presence');
  assert.equal(greedy({ presencePenalty: 0.15 }, [], [0, 0]), 1);
  assert.equal(greedy({ frequencyPenalty: 0.15 }, [], [0, 0]), 1);
  assert.equal(greedy({ frequencyPenalty: 0.15 }, [], [0, 0, 1]), 2);
  assert.equal(greedy({ repetitionPenalty: 1.2 }, [0], [1]), 2);
  assert.equal(greedy({ logitBias: new Map([[3, 100]]) }, [], []), 3);
  // Repetition makes a negative logit more negative, not less.
  const negative = headRow([-1, -1.1], 2, true);
  const chosen = sample(
    negative,
    { ...PLAIN, temperature: 0, repetitionPenalty: 1.5 },
    { prompt: [0], output: [] },
    0,
  );
  assert.equal((chosen as { id: number }).id, 1);
});

test('penalties and bias ask for all logits before the head runs', () => {
  for (const change of [
    { presencePenalty: 0.1 },
    { frequencyPenalty: -0.1 },
    { repetitionPenalty: 1.1 },
    { logitBias: new Map([[1, 1]]) },
    { temperature: 0.5 },
    { topK: 65 },
  ]) {
    assert.equal(needsLogits({ ...PLAIN, ...change }, 64), true, JSON.stringify(change));
    assert.equal(
      sample(headRow([1, 2, 3, 4, 5], 2, false), { ...PLAIN, ...change }, NOTHING, 0),
      'needs-logits',
    );
  }
  for (const change of [{}, { temperature: 0 }, { topK: 64, temperature: 0.3 }, { topP: 0.1 }]) {
    assert.equal(needsLogits({ ...PLAIN, ...change }, 64), false, JSON.stringify(change));
  }
});

test('draws follow the distribution: chi-square of 4000 seeded draws at two temperatures', () => {
  const values = [2, 1.5, 1, 0.5, 0, -0.5, -1, -2];
  for (const temperature of [1, 0.6]) {
    const weights = values.map((logit) => Math.exp(logit / temperature));
    const total = weights.reduce((sum, weight) => sum + weight);
    const counts = new Array<number>(values.length).fill(0);
    const row = headRow(values, 3, true);
    for (let index = 0; index < 4000; index++) {
      const chosen = sample(row, { ...PLAIN, temperature, seed: 42 }, NOTHING, index);
      counts[(chosen as { id: number }).id]!++;
    }
    const chiSquare = counts.reduce((sum, count, id) => {
      const expected = (4000 * weights[id]!) / total;
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // 7 degrees of freedom: 24.3 is the 99.9th percentile.
    assert.ok(chiSquare < 24.3, `temperature ${temperature}: chi-square ${chiSquare}`);
  }
});

test('logits that are not numbers are an engine failure, not a token', () => {
  assert.throws(() => sample({ ...headRow([1, 2], 2, true), logSumExp: Number.NaN }, PLAIN, NOTHING, 0), {
    code: 'ENGINE_FAILED',
  });
});
