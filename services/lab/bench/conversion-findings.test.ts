import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Conversion } from './conversion.ts';
import { conversionGoals } from './conversion-findings.ts';
import { allWays, type ConversionWay, QUICK_WAYS, wayName } from './conversion-ways.ts';

const found = (way: ConversionWay, kl: number): Conversion => ({
  way,
  kl,
  perplexity: Math.exp(kl),
  low: 0,
  high: 0,
  agreement: 0,
  bytes: 1,
  speed: 1,
});

test('a rank that brings a way no nearer to the original refutes that more rank is better', () => {
  const ways = [0, 8, 64].map((rank): ConversionWay => ({ kind: 'average', loops: 2, rank }));
  const goalOf = (kls: readonly number[]) => conversionGoals(ways.map((way, at) => found(way, kls[at]!)));
  assert.deepEqual(
    goalOf([9, 8, 7]).map(({ name, met }) => [name, met]),
    [['average x2: KL falls with the rank', true]],
  );
  assert.equal(goalOf([9, 7, 8])[0]!.met, false);
});

test('what was not measured is neither confirmed nor refuted', () => {
  assert.deepEqual(conversionGoals([found({ kind: 'stepwise', loops: 2, rank: 0 }, 9)]), []);
});

test('a middle cycle is held against no other way', () => {
  const middle = found({ kind: 'average', loops: 2, kept: 1, rank: 0 }, 1);
  const tied = found({ kind: 'average', loops: 2, rank: 0 }, 9);
  const stepwise = found({ kind: 'stepwise', loops: 2, rank: 0 }, 8);
  assert.deepEqual(
    conversionGoals([middle, tied, stepwise]).map(({ name, measured, met }) => [name, measured, met]),
    [['without factors, x2: KL of stepwise below that of average', 8, true]],
  );
});

test('no two ways have one name', () => {
  for (const ways of [QUICK_WAYS, allWays(576)]) {
    assert.equal(new Set(ways.map(wayName)).size, ways.length);
  }
});
