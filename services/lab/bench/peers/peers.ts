import { openCheckpoint } from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { benchCheckpoint } from '../bench-bundle.ts';
import type { Cell, Plot, Suite, SuiteContext, SuiteResult } from '../suite.ts';
import type { Contestant, Peer } from './contestant.ts';
import { llamaCpp } from './llama-cpp.ts';
import { pytorch } from './pytorch.ts';
import { GENERATED, MEMORY_RUNS, type RaceResult, race, sameCell, title } from './race.ts';
import { rondo } from './rondo.ts';
import { duelNotes, MATCHES, peerGoals, peerRows, TURNS_CONTEXT_MAX } from './standings.ts';
import { transformersJs } from './transformers-js.ts';

const PEERS: readonly Peer[] = [rondo, llamaCpp, transformersJs, pytorch];

const FULL = { sequences: [1, 4, 8, 16, 32], contexts: [128, 512, 1024], repeats: 3 };
/** Two cells with goals, and one whose prompt is long. */
const QUICK_CELLS: readonly Cell[] = [
  { sequences: 1, context: 128 },
  { sequences: 1, context: 512 },
  { sequences: 16, context: 128 },
];
const LONG_CELL: Cell = { sequences: 16, context: 1024 };
/**
 * When --quick makes its last repeat, its last round by turns, and its last run of all, once everything is installed and
 * converted: that takes its time, but only once.
 */
const QUICK_LAST_REPEAT_MS = 135_000;
const QUICK_LAST_ROUND_MS = 200_000;
const QUICK_LAST_RUN_MS = 240_000;

/** Ours against llama.cpp, transformers.js and PyTorch on the same unlooped checkpoint. */
export const peers: Suite = {
  name: 'peers',
  summary: 'decode and prefill of one unlooped checkpoint: ours, llama.cpp, transformers.js, PyTorch',
  takesCells: true,
  run: (context) => run(context, PEERS),
};

/** The cell whose prompts take most of a quarter of an hour with all peers, against the one that its goal names. */
export const peersLong: Suite = {
  name: 'peers-long',
  summary: 'the same at 16 sequences of 1024 positions: ours and llama.cpp',
  run: (context) =>
    run(context, [rondo, llamaCpp], {
      cells: [LONG_CELL],
      bounded: false,
      // With --quick there is no time for runs that tell whether memory grows.
      memoryRuns: context.quick ? 0 : MEMORY_RUNS,
    }),
};

async function run(
  context: SuiteContext,
  peers: readonly Peer[],
  { cells, bounded, memoryRuns }: Course = courseOf(context),
): Promise<SuiteResult> {
  const checkpoint = await benchCheckpoint(context);
  const positionsMax = Math.max(...cells.map(({ sequences, context: length }) => sequences * length));
  const missing: string[] = [];
  const contestants: Contestant[] = [];
  for (const peer of peers) {
    try {
      contestants.push(...(await peer.prepare({ context, checkpoint, positionsMax })));
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof RondoError)) throw error;
      context.progress(`missing: ${peer.engine}: ${error.message}`);
      missing.push(`Missing: ${peer.engine}: ${error.message}`);
    }
  }
  const begin = performance.now();
  const result = await race(context, contestants, {
    cells,
    repeats: FULL.repeats,
    vocab: await vocabOf(checkpoint),
    duels: {
      matches: MATCHES.filter(({ cell }) => cells.some((other) => sameCell(cell, other))),
      engine: rondo.engine,
      rival: llamaCpp.engine,
    },
    lastRepeatMs: context.quick ? begin + QUICK_LAST_REPEAT_MS : Number.POSITIVE_INFINITY,
    lastRunMs: bounded ? begin + QUICK_LAST_ROUND_MS : Number.POSITIVE_INFINITY,
    lastMemoryRunMs: bounded ? begin + QUICK_LAST_RUN_MS : Number.POSITIVE_INFINITY,
    memoryRuns,
  });
  return {
    rows: peerRows(result.trials),
    goals: peerGoals(result.trials, result.unfinished, result.duels, { tellsGrowth: memoryRuns > 0 }),
    plots: [ratePlot('decode'), ratePlot('prefill')],
    notes: [
      ...explanation(context, peers, memoryRuns),
      ...duelNotes(result.duels),
      ...missing,
      ...failureNotes(result),
    ],
  };
}

/** What is run, and for how long. */
interface Course {
  readonly cells: readonly Cell[];
  /** Nothing begins that would end behind the five minutes of --quick. */
  readonly bounded: boolean;
  readonly memoryRuns: number;
}

/** Cells that somebody chose take their time. */
const courseOf = (context: SuiteContext): Course => ({
  cells: cellsOf(context),
  bounded: context.quick && context.cells === undefined,
  memoryRuns: MEMORY_RUNS,
});

/** @throws RondoError CONFIG_INVALID for a cell without room for a prompt. */
function cellsOf({ quick, cells }: SuiteContext): readonly Cell[] {
  const short = cells?.find(({ context }) => context <= GENERATED);
  if (short) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--cells ${short.sequences}x${short.context}: ${GENERATED} positions of a context are generated; expected one of more than ${GENERATED}`,
    );
  }
  return cells ?? (quick ? QUICK_CELLS : fullCells());
}

const fullCells = (): Cell[] =>
  FULL.contexts.flatMap((context) => FULL.sequences.map((sequences) => ({ sequences, context })));

async function vocabOf(path: string): Promise<number> {
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  return checkpoint.model.vocab;
}

const OTHERS =
  " transformers.js runs its usual graph (GroupQueryAttention), PyTorch is transformers' generate in f32; both run one static batch.";

function explanation(
  { threads, quick, cells }: SuiteContext,
  peers: readonly Peer[],
  memoryRuns: number,
): string[] {
  const growth =
    memoryRuns > 0
      ? ` Whether our memory grows is told behind the race, by ${memoryRuns} more runs of the largest cell: the first of a larger cell than any before needs more, which is no growth.`
      : '';
  const leftOut = [
    quick ? ' --quick leaves out llama.cpp on f32 and q4_1 and with batches of 2048.' : '',
    quick || cells ? ' Goals of cells that were not measured are left out.' : '',
  ].join('');
  return [
    `Context c is a prompt of c − ${GENERATED} random ids and ${GENERATED} greedy tokens after it, for all sequences side by side; prefill counts the prompts, decode the ${GENERATED} steps that follow. Every engine has ${threads} threads and a process of its own, starts from the same Q4_1 checkpoint and takes its turn in every repeat, so that drift of the machine hits all alike. Rates are medians of the runs that the table counts, where it counts one that run's; the spread is (largest − smallest) / median. A variant more than a quarter slower than its engine's fastest in both respects is run once. Where there is a goal at a context of up to ${TURNS_CONTEXT_MAX} our fastest and llama.cpp's take turns behind the race, while time is left, and it goes by the median of the rounds' ratios to the rival that ours is least ahead of; a goal without turns holds best against best as the race had them, and its name says over how many runs.${growth}`,
    `rondo is the engine without a server: chunks and decode steps through every pass. llama.cpp is measured through node-llama-cpp, not by a program of its own: one context for all sequences, with and without flash attention, and with batches of 512 and 2048. A new context runs one of the prompts before all are timed. Each token of each sequence is sampled by itself and goes through JavaScript, which is in its decode times; there is none of that in its prefill.${peers.includes(pytorch) ? OTHERS : ''}${leftOut}`,
  ];
}

const failureNotes = ({ failures, unfinished }: RaceResult): string[] => [
  ...[...failures].map(([contestant, reason]) => `Failed: ${title(contestant)}: ${reason}`),
  ...unfinished.map(
    ({ sequences, context }) =>
      `Out of time: not every engine ran at ${sequences} × ${context}, so no goal is judged there.`,
  ),
];

const ratePlot = (what: 'decode' | 'prefill'): Plot => ({
  name: what,
  title: `${what} tok/s of each engine's best variant`,
  spec: {
    transform: [{ filter: `indexof(datum['best of its engine'], '${what}') >= 0` }],
    facet: { column: { field: 'context', type: 'ordinal', title: 'context' } },
    spec: {
      width: 200,
      height: 220,
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'sequences', type: 'quantitative', scale: { type: 'log', base: 2 }, title: 'sequences' },
        y: { field: `${what} tok/s`, type: 'quantitative', scale: { type: 'log' }, title: 'tok/s' },
        color: { field: 'engine', type: 'nominal' },
      },
    },
  },
});
