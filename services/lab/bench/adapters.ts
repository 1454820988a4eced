import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Manifest } from '@rondo/bundle';
import { adapterMethod, prepareWeights } from '@rondo/converter';
import { CONTEXT } from './adapters-batch.ts';
import { type BlockShape, RandomCheckpoint, rankShare, SMOLLM2, TINYLLAMA } from './adapters-checkpoint.ts';
import { DEPTHS, type Finding, METHODS, runTrial } from './adapters-trial.ts';
import {
  atMost,
  type Goal,
  type Plot,
  type Row,
  type Suite,
  type SuiteContext,
  type SuiteResult,
} from './suite.ts';

type Precision = Manifest['precision'];

const SHAPES = [TINYLLAMA, SMOLLM2];
const ROW_COUNTS = [16, 32];
/** Turns of a cell: with three, one that something else disturbed was a third of the figure. */
const FULL = { precisions: ['f32', 'int8', 'int4'], ranks: [16, 64, 128], repeats: 21 } as const;
const QUICK = { ...FULL, ranks: [64] } as const;
/** Of the goal. */
const GOAL_RANK = 64;
const GOAL_LOSS = 10;

/** What adapters of their own for every depth cost a batch of mixed depths. */
export const adapters: Suite = {
  name: 'adapters',
  summary: 'low-rank adapters for every depth in batches of mixed depths, four ways, against none',
  run,
};

/** What was found at one shape, precision and rank. */
interface Cell {
  readonly shape: BlockShape;
  readonly precision: Precision;
  readonly rank: number;
  /** Multiplications that the rank adds, as a share of those without it. */
  readonly share: number;
  readonly findings: readonly Finding[];
}

async function run(context: SuiteContext): Promise<SuiteResult> {
  const { precisions, ranks, repeats } = context.quick ? QUICK : FULL;
  const cells: Cell[] = [];
  for (const shape of SHAPES) {
    const checkpoint = new RandomCheckpoint(shape, CONTEXT, context.seed);
    for (const precision of precisions) {
      context.progress(`${shape.name}, ${precision}: writing random weights`);
      await mkdir(join(context.cache, 'bench'), { recursive: true });
      const directory = await mkdtemp(join(context.cache, 'bench', 'adapters-base-'));
      try {
        const prepared = await prepareWeights(checkpoint, precision, directory);
        for (const rank of ranks) {
          context.progress(`${shape.name}, ${precision}, rank ${rank}`);
          const trial = { checkpoint, precision, prepared, rank, rowCounts: ROW_COUNTS, repeats };
          const share = rankShare(checkpoint.model, rank);
          cells.push({ shape, precision, rank, share, findings: await runTrial(context, trial) });
        }
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    }
  }
  return {
    rows: cells.flatMap(rowsOf),
    goals: cells.filter(({ rank }) => rank === GOAL_RANK).map(goalOf),
    plots: [lossPlot],
    notes: notesOf(context, cells),
  };
}

function rowsOf({ shape, precision, rank, share, findings }: Cell): Row[] {
  return findings.map(({ rows, method, rowsPerSecond, plainRowsPerSecond, loss }) => {
    const rivals = findings.filter((other) => other.rows === rows);
    return {
      shape: shape.name,
      base: precision,
      rows,
      rank,
      'extra FLOPs %': 100 * share,
      method,
      'rows/s': rowsPerSecond,
      'rows/s at rank 0': plainRowsPerSecond,
      'loss %': loss,
      best: rivals.every((other) => other.loss >= loss) ? 'best' : '',
    };
  });
}

const lossesOf = ({ findings }: Cell, method: string): number[] =>
  findings.filter((finding) => finding.method === method).map(({ loss }) => loss);

const goalOf = (cell: Cell): Goal =>
  atMost(
    `${cell.shape.name}, ${cell.precision}: loss at rank ${cell.rank}, ${adapterMethod(cell.precision)}, worst batch`,
    GOAL_LOSS,
    Math.max(...lossesOf(cell, adapterMethod(cell.precision))),
    ' %',
  );

function notesOf({ threads, seed, quick }: SuiteContext, cells: readonly Cell[]): string[] {
  const floors = (times: number): string =>
    cells
      .filter(({ rank, precision }) => rank === GOAL_RANK && precision === 'f32')
      .map(
        ({ shape, share }) => `${shape.name} ${((100 * times * share) / (1 + times * share)).toFixed(1)} %`,
      )
      .join(', ');
  const means = METHODS.map((method) => {
    const losses = cells.flatMap((cell) => lossesOf(cell, method));
    return `${method} ${(losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toFixed(1)} %`;
  });
  return [
    `One pass of a block of two layers over one decoding row of each sequence, half of the rows at each of ${DEPTHS} depths, ${CONTEXT} positions of K and V behind every row, random weights (seed ${seed}), adapters on all seven linears, in f32 except with the method integer, ${threads} threads. Time is that inside the engine: no prelude, coda or head, which would hide a part of the loss. All methods of a rank and the block without adapters take turns in one process; the loss is the median over ${(quick ? QUICK : FULL).repeats} turns of what each loses against rank 0 in the same turn.`,
    `Extra FLOPs are what the rank itself asks for, and what grouped and gathered compute; masked computes ${DEPTHS} times as many. integer has factors of 7 bits: where the engine’s kernel takes the layers it computes what the rank asks for, in the graph runtime (over f32, and where its products of int8 are faster) ${DEPTHS} times as much. If what the rank asks for ran as fast as the base's own products, and these were all of the time, the loss at rank ${GOAL_RANK} would be: ${floors(1)}. What is read are the factors of all ${DEPTHS} depths; where reading takes all of the time it would be: ${floors(DEPTHS)}. With the other methods layers run in the graph runtime, over int8 and int4 too.`,
    `Mean loss over all cells: ${means.join(', ')}. The converter's default is ${adapterMethod('int8')} over int8 and int4, ${adapterMethod('f32')} over f32.${quick ? ' --quick measures rank 64 only.' : ''}`,
  ];
}

const lossPlot: Plot = {
  name: 'loss',
  title: 'Loss against rank 0 in batches of 32 rows; the line is the goal at rank 64',
  spec: {
    transform: [{ filter: 'datum.rows === 32' }],
    facet: {
      column: { field: 'shape', type: 'nominal', title: null },
      row: { field: 'base', type: 'nominal', title: 'base' },
    },
    spec: {
      layer: [
        {
          mark: { type: 'line', point: true },
          encoding: {
            x: { field: 'rank', type: 'ordinal' },
            y: { field: 'loss %', type: 'quantitative', title: 'loss %' },
            color: { field: 'method', type: 'nominal' },
          },
        },
        { mark: { type: 'rule', strokeDash: [4, 4] }, encoding: { y: { datum: GOAL_LOSS } } },
      ],
    },
  },
};
