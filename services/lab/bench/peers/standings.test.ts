import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median } from '../../load/quantile.ts';
import type { Cell } from '../suite.ts';
import type { Contestant } from './contestant.ts';
import { GENERATED, type Trial } from './race.ts';
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
  assert.equal(ratio?.name, "decode at 16 × 128, times llama.cpp's best");
  assert.ok(Math.abs(Number(ratio?.measured) - 250 / 99) < 1e-9);
  assert.equal(ratio?.met, true);
  assert.equal(goals.filter(({ name }) => name.includes('llama.cpp')).length, 1);
  assert.deepEqual(
    peerGoals(trials, [CELL]).filter(({ name }) => name.includes('llama.cpp')),
    [],
  );
});

test('memory beyond the limit is a goal that is not met, and growth is measured over the runs behind the race', () => {
  const [most, growth] = peerGoals([trial(int4, [1, 1, 1], [110, 180, 170])]);
  assert.deepEqual([most?.goal, most?.measured, most?.met], ['≤ 101 MB', 102, false]);
  assert.deepEqual(growth, {
    ...{ name: 'growth of int4 over 3 more runs of 16 × 128', goal: '≤ 50 MB' },
    ...{ measured: 60, met: false },
  });
  assert.equal(peerGoals([trial(int4, [1, 1, 1], [110])]).length, 1);
});

test("each engine's best variant is marked, per rate", () => {
  const rows = peerRows([trial(q4, [90]), trial(q8, [80, 120])]);
  assert.deepEqual(
    rows.map((row) => [
      row.variant,
      row['decode tok/s'],
      Math.round(Number(row['decode spread %'])),
      row['best of its engine'],
    ]),
    [
      ['q4_0', 90, 0, 'prefill'],
      ['q8_0', 100, 40, 'decode'],
    ],
  );
});

test('what was done by turns is judged by the median of rounds, against the rival that it is least ahead of', () => {
  const cell: Cell = { sequences: 1, context: 512 };
  const trials = [trial(int4, [400]), trial(q4, [100]), trial(q8, [100])].map((one) => ({ ...one, cell }));
  const rivals = [
    { contestant: q4, ratios: [1.2, 1.5, 9] },
    { contestant: q8, ratios: [1.7, 1.6, 1.8] },
  ];
  const goals = peerGoals(trials, [], [{ phase: 'prefill', cell, rounds: 3, ours: int4, rivals }]);
  const { measured, met } = goals.find(({ name }) => name.startsWith('prefill'))!;
  assert.deepEqual([measured, met], [1.5, true]);
  const [note] = duelNotes([{ phase: 'prefill', cell, rounds: 3, ours: int4, rivals }]);
  assert.match(
    note!,
    /1 × 512 by turns, rondo int4 to llama.cpp q4_0: 1.50, .* 3 rounds .* all from 1.20 to 9.00/,
  );
});
