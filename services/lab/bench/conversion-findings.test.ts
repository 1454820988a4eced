import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversionGoals } from './conversion-findings.ts';
import type { Conversion } from './conversion-judge.ts';
import { allWays, type ConversionWay, judgingOrder, QUICK_WAYS, wayName } from './conversion-ways.ts';

const FULL_RANK = 576;

const found = (way: ConversionWay, kl: number, apart = 1): Conversion => ({
  way,
  kl,
  perplexity: Math.exp(kl),
  low: 0,
  high: 0,
  agreement: 0,
  apart,
  bytes: 1,
  speed: 1,
});

test('a rank that brings a way no nearer to the original refutes that more rank is better', () => {
  const ways = [0, 8, 64].map((rank): ConversionWay => ({ kind: 'average', loops: 2, rank }));
  const goalOf = (kls: readonly number[]) =>
    conversionGoals(
      ways.map((way, at) => found(way, kls[at]!)),
      FULL_RANK,
    );
  assert.deepEqual(
    goalOf([9, 8, 7]).map(({ name, met }) => [name, met]),
    [['average x2: KL falls with the rank', true]],
  );
  assert.equal(goalOf([9, 7, 8])[0]!.met, false);
});

test('what was not measured is neither confirmed nor refuted', () => {
  assert.deepEqual(conversionGoals([found({ kind: 'stepwise', loops: 2, rank: 0 }, 9)], FULL_RANK), []);
});

test('a middle cycle is held against no other way', () => {
  const middle = found({ kind: 'average', loops: 2, kept: 1, rank: 0 }, 1);
  const tied = found({ kind: 'average', loops: 2, rank: 0 }, 9);
  const stepwise = found({ kind: 'stepwise', loops: 2, rank: 0 }, 8);
  assert.deepEqual(
    conversionGoals([middle, tied, stepwise], FULL_RANK).map(({ name, measured, met }) => [
      name,
      measured,
      met,
    ]),
    [['without factors, x2: KL of stepwise below that of average', 8, true]],
  );
});

test('no two ways have one name', () => {
  for (const ways of [QUICK_WAYS, allWays(FULL_RANK)]) {
    assert.equal(new Set(ways.map(wayName)).size, ways.length);
  }
});

test('the worst way of full rank says whether nothing is lost', () => {
  const whole = (kind: 'average' | 'lower', apart: number) =>
    found({ kind, loops: 3, rank: FULL_RANK }, 0, apart);
  const goal = (...ways: Conversion[]) => conversionGoals(ways, FULL_RANK)[0]!;
  assert.deepEqual(goal(whole('average', 1e-5), whole('lower', 2e-4)), {
    name: 'full rank: largest difference of a logit, worst of 2 ways',
    goal: '≤ 0.001',
    measured: 2e-4,
    met: true,
  });
  assert.equal(goal(whole('average', 1e-5), whole('lower', 2e-3)).met, false);
});

test('what loses nothing is judged first, and no way is left out', () => {
  const ways = allWays(FULL_RANK);
  const order = judgingOrder(ways, FULL_RANK);
  assert.deepEqual(new Set(order), new Set(ways));
  assert.equal(order.length, ways.length);
  for (const { rank } of order.slice(0, 8)) assert.equal(rank, FULL_RANK);
  for (const { rank, precision } of order.slice(8)) assert.ok(rank < FULL_RANK || precision);
});
