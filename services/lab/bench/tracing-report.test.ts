import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certainty, sharesOf, type TracingTurn, tracingGoals, tracingRows } from './tracing-report.ts';

const turn = (round: number, share: TracingTurn['share'], tokensPerS: number): TracingTurn => ({
  model: 'small',
  ...{ round, share, tokensPerS, tokens: 100, cpuMs: 50, requests: 4, gapP50Ms: 10, failed: 0 },
  ...{ spans: share * 1000, bytes: share * 400_000, lost: 0 },
});

const turns = [
  turn(0, 0, 100),
  turn(0, 0.01, 99.5),
  turn(0, 1, 90),
  turn(1, 0, 200),
  turn(1, 0.01, 199),
  turn(1, 1, 190),
];

test('a turn is held against the one without tracing in the same round', () => {
  const rows = tracingRows(turns).filter(({ model }) => model === 'small');
  const lost = rows.map((row) => row['throughput lost %']);
  assert.deepEqual(
    lost.map((value) => Number(Number(value).toFixed(6))),
    [0, 0.5, 7.5],
  );
  assert.deepEqual(
    rows.map((row) => row['spans/token']),
    [0, 0.1, 10],
  );
});

const asLarge = (all: readonly TracingTurn[]) => all.map((each) => ({ ...each, model: 'large' as const }));

test('the goals are missed by a loss of the small model above 1 % and by lost spans of the large one', () => {
  const met = (small: readonly TracingTurn[], large: readonly TracingTurn[]) =>
    tracingGoals([...small, ...asLarge(large)]).map((goal) => goal.met);
  const bad = [turn(0, 0, 100), { ...turn(0, 0.01, 98), lost: 3 }, turn(0, 1, 90)];
  assert.deepEqual(met(turns, turns), [true, true]);
  assert.deepEqual(met(bad, turns), [false, true]);
  assert.deepEqual(met(turns, bad), [true, false]);
});

test('what 1 % loses is told with how well it is known', () => {
  const rounds = [98, 100, 99, 101].flatMap((rate, round) => [turn(round, 0, 100), turn(round, 0.01, rate)]);
  assert.match(
    certainty(rounds),
    /4 rounds is -0\.3 to 1\.3 %, so that the median of 0\.5 % is known to ± 1\.2 points/,
  );
});

test('without and 1 % take turns in going first, and only a third of the rounds has all traced', () => {
  const rounds = [0, 1, 2, 3, 4, 5].map(sharesOf);
  assert.deepEqual(rounds, [
    [0, 0.01],
    [0.01, 0],
    [0, 0.01, 1],
    [0.01, 0],
    [0, 0.01],
    [0.01, 0, 1],
  ]);
});
