import { quantile } from '../load/quantile.ts';
import { type RequestRecord, timeToFirstToken, tokenGaps } from '../load/request-record.ts';
import { atLeast, atMost, type Goal, type Plot, type Row, type SuiteResult } from './suite.ts';

/** What runs: interactive requests, a batch, or both. */
export const LOADS = ['interactive', 'batch', 'both'] as const;
export type Load = (typeof LOADS)[number];

/** What was seen for a while under one load. */
export interface BatchWindow {
  readonly load: Load;
  /** Interactive requests that were sent in it. */
  readonly records: readonly RequestRecord[];
  /** Tokens of all sequences, and of the interactive ones. */
  readonly tokens: number;
  readonly interactiveTokens: number;
  readonly ms: number;
}

export interface BatchFindings {
  readonly windows: readonly BatchWindow[];
  readonly ratePerS: number;
  /** Lines that run at once when nothing else does. */
  readonly linesMax: number;
}

export function batchReport({ windows, ratePerS, linesMax }: BatchFindings): SuiteResult {
  const rows = LOADS.map((load) =>
    row(
      load,
      windows.filter((window) => window.load === load),
    ),
  );
  return {
    rows,
    goals: goals(rows),
    plots: [gapPlot],
    notes: [
      `Interactive requests come at seeded Poisson arrivals, ${ratePerS} a second; the batch has more lines than it can answer, of the same lengths, and runs ${linesMax} of them at once when it has the machine to itself. Behind a warm-up the loads take turns, ${windows.length / LOADS.length} times, every other time the other way round; where both run, the interactive requests come at the same times and are as long as without the batch, and meet it at full flow. A p99 of fewer than a hundred is nearly the largest. A gap is the time between two tokens of one stream, as its client sees it.`,
    ],
  };
}

function row(load: Load, windows: readonly BatchWindow[]): Row {
  const records = windows.flatMap((window) => window.records);
  const sum = (pick: (window: BatchWindow) => number) =>
    windows.reduce((total, window) => total + pick(window), 0);
  const seconds = sum(({ ms }) => ms) / 1000;
  const firsts = records.map(timeToFirstToken);
  const gaps = records.flatMap(tokenGaps);
  const cell = (values: readonly number[], q: number) => (values.length === 0 ? '' : quantile(values, q));
  return {
    load,
    requests: records.length,
    'not ended': records.filter(({ outcome }) => outcome !== 'ended').length,
    'first token p50 ms': cell(firsts, 0.5),
    'first token p99 ms': cell(firsts, 0.99),
    gaps: gaps.length,
    'gap p50 ms': cell(gaps, 0.5),
    'gap p99 ms': cell(gaps, 0.99),
    'interactive tok/s': sum(({ interactiveTokens }) => interactiveTokens) / seconds,
    'batch tok/s': sum(({ tokens, interactiveTokens }) => tokens - interactiveTokens) / seconds,
    'all tok/s': sum(({ tokens }) => tokens) / seconds,
  };
}

function goals(rows: readonly Row[]): Goal[] {
  const [alone, batch, both] = rows as [Row, Row, Row];
  const times = (column: string) => Number(both[column]) / Number(alone[column]);
  const counts = (column: string) => `${both[column]} to ${alone[column]}`;
  return [
    atMost(`gap beside the batch, times that without, p99 (of ${counts('gaps')})`, 2, times('gap p99 ms')),
    atMost(
      `time to first token beside the batch, times that without, p99 (of ${counts('requests')})`,
      2,
      times('first token p99 ms'),
    ),
    atLeast(
      'tokens of all while both run, % of the batch’s alone',
      60,
      (100 * Number(both['all tok/s'])) / Number(batch['all tok/s']),
    ),
    atMost(
      'interactive requests that did not end',
      0,
      Number(alone['not ended']) + Number(both['not ended']),
    ),
  ];
}

const gapPlot: Plot = {
  name: 'gaps',
  title: 'Gap between two tokens of an interactive stream, without and beside a batch, in milliseconds',
  spec: {
    transform: [
      { filter: "datum.load !== 'batch'" },
      { fold: ['gap p50 ms', 'gap p99 ms'], as: ['quantile', 'ms'] },
    ],
    mark: 'bar',
    encoding: {
      x: { field: 'quantile', type: 'nominal' },
      xOffset: { field: 'load', type: 'nominal' },
      y: { field: 'ms', type: 'quantitative' },
      color: { field: 'load', type: 'nominal' },
    },
  },
};
