import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SuiteContext } from '../suite.ts';
import type { Contestant } from './contestant.ts';
import { MEMORY_RUNS, race } from './race.ts';

/** A process that holds as many bytes as it has answered requests, and is as fast as it is told. */
const COUNTER = `
  const say = (o) => console.log('bench ' + JSON.stringify(o));
  let answered = 0;
  say({ ready: true });
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { ms } = JSON.parse(line);
    if (ms === 0) say({ error: 'no time' });
    else say({ prefillMs: ms, decodeMs: ms * ms, residentBytes: ++answered });
  });`;

const contestant = (variant: string, ms: number, residentBytesMax?: number): Contestant => ({
  ...{ engine: 'counter', variant, options: { ms } },
  // Each with a process of its own.
  command: [process.execPath, '-e', COUNTER, variant],
  ...(residentBytesMax !== undefined && { residentBytesMax }),
});

const context = {
  seed: 1,
  signal: new AbortController().signal,
  progress: () => {},
} as unknown as SuiteContext;
const CELLS = [
  { sequences: 2, context: 65 },
  { sequences: 1, context: 65 },
];
const duels = { engine: 'counter', rival: 'other', matches: [] };
const PLAN = { cells: CELLS, repeats: 2, vocab: 512, duels, memoryRuns: MEMORY_RUNS };
const ENDLESS = {
  lastRepeatMs: Number.POSITIVE_INFINITY,
  lastRunMs: Number.POSITIVE_INFINITY,
  lastMemoryRunMs: Number.POSITIVE_INFINITY,
};

test('all cells run once before any again, the slow once, and behind them the largest where memory is limited', async () => {
  const contestants = [contestant('fast', 1, 100), contestant('slow', 2, 100), contestant('free', 1)];
  const { trials } = await race(context, contestants, { ...PLAN, ...ENDLESS });
  const found = trials.map(({ cell, contestant: { variant }, runs, residentAfter }) => [
    `${variant} ${cell.sequences}`,
    runs.map(({ residentBytes }) => residentBytes),
    residentAfter,
  ]);
  const after = (first: number) => Array.from({ length: MEMORY_RUNS }, (_, at) => first + at);
  // The first request warms up.
  assert.deepEqual(found, [
    ['fast 2', [2, 4], after(6)],
    ['slow 2', [2], after(4)],
    ['free 2', [2, 4], []],
    ['fast 1', [3, 5], []],
    ['slow 1', [3], []],
    ['free 1', [3, 5], []],
  ]);
});

test('when time is up nothing runs, and cells that not all ran in are named', async () => {
  const over = { lastRepeatMs: 0, lastRunMs: 0, lastMemoryRunMs: 0 };
  const { trials, unfinished } = await race(context, [contestant('fast', 1, 100)], { ...PLAN, ...over });
  assert.deepEqual([trials, unfinished], [[], CELLS]);
});

test('a race that has to end runs to its end and leaves the runs behind it out', async () => {
  const plan = { ...PLAN, ...ENDLESS, lastMemoryRunMs: 0 };
  const { trials } = await race(context, [contestant('fast', 1, 100)], plan);
  assert.deepEqual(
    trials.map(({ runs, residentAfter }) => [runs.length, residentAfter.length]),
    [
      [2, 0],
      [2, 0],
    ],
  );
});

test('who fails is out of the race, with its reason', async () => {
  const [good, bad] = [contestant('good', 1), contestant('bad', 0)];
  const { trials, failures } = await race(context, [bad, good], { ...PLAN, ...ENDLESS });
  assert.deepEqual([...failures], [[bad, 'counter bad: no time']]);
  assert.deepEqual(
    trials.map(({ contestant: { variant }, runs }) => [variant, runs.length]),
    [
      ['good', 2],
      ['good', 2],
    ],
  );
});

test('the fastest takes turns with all of the rival that may be its fastest, and each round is a ratio', async () => {
  const other = (variant: string, ms: number) => ({ ...contestant(variant, ms), engine: 'other' });
  const contestants = [
    ...[contestant('slow', 9), contestant('fast', 2)],
    ...[other('first', 6), other('second', 7), other('hopeless', 60)],
  ];
  const matches = (['prefill', 'decode'] as const).map((phase) => ({ phase, cell: CELLS[1]!, rounds: 3 }));
  const plan = { ...PLAN, ...ENDLESS, duels: { ...duels, matches } };
  const found = await race(context, contestants, plan);
  // Of ours, behind the warm-up and two runs in each of two cells: what it holds counts its turns.
  assert.deepEqual(
    found.duels.map(({ residentBytes }) => residentBytes),
    [
      [6, 7, 8],
      [9, 10, 11],
    ],
  );
  assert.deepEqual(
    found.duels.map(({ phase, cell, ours, rivals }) => [
      ...[phase, cell, ours.variant],
      rivals.map(({ contestant, ratios }) => [contestant.variant, ratios]),
    ]),
    [
      [
        ...['prefill', CELLS[1], 'fast'],
        [
          ['first', [3, 3, 3]],
          ['second', [3.5, 3.5, 3.5]],
        ],
      ],
      ['decode', CELLS[1], 'fast', [['first', [9, 9, 9]]]],
    ],
  );
});
