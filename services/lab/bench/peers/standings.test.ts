import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median } from '../../load/quantile.ts';
import type { Cell } from '../suite.ts';
import { cellText } from '../table.ts';
import type { Contestant } from './contestant.ts';
import { type Duel, GENERATED, type Trial } from './race.ts';
import { duelNotes, peerGoals, peerRows } from './standings.ts';

const CELL: Cell = { sequences: 16, context: 128 };

/** A trial with these decode rates in tokens per second, one a run. */
function trial(
  contestant: Contestant,
  rates: readonly number[],
  residentAfterMb: readonly number[] = [],
): Trial {
  const runs = rates.map((rate, at) => ({
    prefillMs: 1000,
    decodeMs: (1000 * CELL.sequences * GENERATED) / rate,
    residentBytes: (100 + at) * 1e6,
  }));
  return { cell: CELL, contestant, runs, residentAfter: residentAfterMb.map((mb) => mb * 1e6) };
}

const int4: Contestant = { engine: 'rondo', variant: 'int4', command: ['a'], residentBytesMax: 101e6 };
const f32: Contestant = { engine: 'rondo', variant: 'f32', command: ['b'] };
const q4: Contestant = { engine: 'llama.cpp', variant: 'q4_0', command: ['c'] };
const q8: Contestant = { engine: 'llama.cpp', variant: 'q8_0', command: ['d'] };

test('the median of an even count is the mean of the two in the middle', () => {
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
});

test("a goal holds our best variant's median against the other's best, and names cells that were measured only", () => {
  const trials = [trial(int4, [400, 250, 200]), trial(f32, [100]), trial(q4, [90, 99, 200]), trial(q8, [80])];
  const goals = peerGoals(trials);
  const ratio = goals.find(({ name }) => name.startsWith('decode'));
  assert.equal(
    ratio?.name,
    "decode at 16 × 128, times llama.cpp's best through node-llama-cpp, sampling included (medians of 3 runs or more, not by turns)",
  );
  assert.ok(Math.abs(Number(ratio?.measured) - 250 / 99) < 1e-9);
  assert.equal(ratio?.met, true);
  assert.equal(goals.filter(({ name }) => name.includes('llama.cpp')).length, 1);
  assert.deepEqual(
    peerGoals(trials, [CELL]).filter(({ name }) => name.includes('llama.cpp')),
    [],
  );
});

test('the most that was held is told by every run, in the race, by turns and behind both', () => {
  const duel = {
    phase: 'prefill',
    cell: CELL,
    rounds: 1,
    ours: int4,
    rivals: [],
    residentBytes: [],
  } as const;
  const most = (after: readonly number[], byTurns: number[]) => {
    const [goal] = peerGoals(
      [trial(int4, [1], after)],
      [],
      [
        { ...duel, residentBytes: byTurns },
        { ...duel, ours: f32, residentBytes: [900e6] },
      ],
    );
    return [goal?.goal, goal?.measured, goal?.met];
  };
  assert.deepEqual(most([], []), ['≤ 101 MB', 100, true]);
  assert.deepEqual(most([90, 180, 170], []), ['≤ 101 MB', 180, false]);
  assert.deepEqual(most([90, 91], [95e6, 160e6]), ['≤ 101 MB', 160, false]);
  assert.equal(peerRows([trial(int4, [1], [180])])[0]!['resident MB'], 180);
});

test('growth is measured over the runs behind the race, and not met where there were none', () => {
  const [, growth] = peerGoals([trial(int4, [1, 1, 1], [110, 180, 170])]);
  assert.deepEqual(growth, {
    ...{ name: 'growth of int4 over 3 more runs of 16 × 128', goal: '≤ 50 MB' },
    ...{ measured: 60, met: false },
  });
  const [, unknown] = peerGoals([trial(int4, [1, 1, 1], [110])]);
  assert.deepEqual(unknown, {
    ...{ name: 'growth of int4 over more runs of the largest cell', goal: '≤ 50 MB' },
    ...{ measured: 'not measured: fewer than two such runs', met: false },
  });
});

test("each engine's best variant is marked, per rate, and a single run has no spread", () => {
  const rows = peerRows([trial(q4, [90]), trial(q8, [80, 120])]);
  assert.deepEqual(
    rows.map((row) => [
      row.variant,
      row['decode tok/s'],
      cellText(row['decode spread %']),
      row['best of its engine'],
    ]),
    [
      ['q4_0', 90, '', 'prefill'],
      ['q8_0', 100, '40.0', 'decode'],
    ],
  );
});

test('what a ratio rests on is in its name, where it is less than several rounds by turns', () => {
  const name = (runs: readonly number[], ratios: readonly number[]) => {
    const trials = [trial(int4, runs), trial(q4, runs)];
    const rivals = [{ contestant: q4, ratios: [...ratios] }];
    const duel: Duel = { phase: 'decode', cell: CELL, rounds: 3, ours: int4, rivals, residentBytes: [] };
    return peerGoals(trials, [], [duel])[0]?.name.replace(/.* included ?/, '');
  };
  assert.equal(name([1, 1, 1], [2, 2, 2]), '');
  assert.equal(name([1], [2]), '(one round by turns)');
  assert.equal(name([1], []), '(one run, not by turns)');
  assert.equal(name([1, 1], []), '(medians of 2 runs or more, not by turns)');
});

test('what was done by turns is judged by the median of rounds, against the rival that it is least ahead of', () => {
  const cell: Cell = { sequences: 1, context: 512 };
  const trials = [trial(int4, [400]), trial(q4, [100]), trial(q8, [100])].map((one) => ({ ...one, cell }));
  const rivals = [
    { contestant: q4, ratios: [1.2, 1.5, 9] },
    { contestant: q8, ratios: [1.7, 1.6, 1.8] },
  ];
  const goals = peerGoals(
    trials,
    [],
    [{ phase: 'prefill', cell, rounds: 3, ours: int4, rivals, residentBytes: [] }],
  );
  const { measured, met } = goals.find(({ name }) => name.startsWith('prefill'))!;
  assert.deepEqual([measured, met], [1.5, true]);
  const [note] = duelNotes([{ phase: 'prefill', cell, rounds: 3, ours: int4, rivals, residentBytes: [] }]);
  assert.match(
    note!,
    /1 × 512 by turns, rondo int4 to llama.cpp q4_0: 1.50, .* 3 rounds .* all from 1.20 to 9.00/,
  );
});
