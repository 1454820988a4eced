import type { Conversion } from './conversion-judge.ts';
import { atMost, type Goal, type Plot } from './suite.ts';

/** Logits of a model that lost nothing may differ by so much: what f32 rounds in another order. */
const EQUAL = 1e-3;

/**
 * What the paper leads one to expect (Bae et al. 2024, section 4), held against what was found; at `fullRank`, that nothing was
 * lost.
 */
export function conversionGoals(found: readonly Conversion[], fullRank: number): Goal[] {
  const tied = found.filter(
    ({ way }) =>
      way.kind !== 'original' && way.kind !== 'repeat' && !way.kept && !way.norms && !way.precision,
  );
  const of = (kind: string, loops: number, rank: number) =>
    tied.find(({ way }) => way.kind === kind && way.loops === loops && way.rank === rank);
  const runs = Map.groupBy(tied, ({ way }) => `${way.kind} x${way.loops}`);
  return [
    ...wholeAgain(tied.filter(({ way }) => way.rank === fullRank)),
    ...[...runs].flatMap(([name, ranks]) => falling(name, ranks)),
    ...[2, 3].flatMap((loops) => [
      ...below(`without factors, x${loops}`, of('stepwise', loops, 0), of('average', loops, 0)),
      ...[64, 256].flatMap((rank) =>
        below(`rank ${rank}, x${loops}`, of('average', loops, rank), of('stepwise', loops, rank)),
      ),
    ]),
  ];
}

function wholeAgain(found: readonly Conversion[]): Goal[] {
  if (found.length === 0) return [];
  const worst = Math.max(...found.map(({ apart }) => apart));
  return [atMost(`full rank: largest difference of a logit, worst of ${found.length} ways`, EQUAL, worst)];
}

/** KL, since it keeps its meaning where perplexity has left all bounds. */
function falling(name: string, found: readonly Conversion[]): Goal[] {
  const rising = found.toSorted((one, other) => one.way.rank - other.way.rank);
  if (rising.length < 2) return [];
  return [
    {
      name: `${name}: KL falls with the rank`,
      goal: 'each below the one before',
      measured: rising.map(({ way, kl }) => `${way.rank}: ${kl.toFixed(2)}`).join(', '),
      met: rising.every(({ kl }, at) => at === 0 || kl < rising[at - 1]!.kl),
    },
  ];
}

function below(where: string, better?: Conversion, worse?: Conversion): Goal[] {
  if (!better || !worse) return [];
  return [
    {
      name: `${where}: KL of ${better.way.kind} below that of ${worse.way.kind}`,
      goal: `< ${worse.kl.toFixed(2)}`,
      measured: better.kl,
      met: better.kl < worse.kl,
    },
  ];
}

export const rankPlot: Plot = {
  name: 'rank',
  title: 'KL from the original by the rank of the factors',
  spec: {
    width: 420,
    height: 260,
    transform: [
      {
        filter:
          "datum.kind !== 'original' && datum.kind !== 'repeat' && indexof(datum.way, 'kept') < 0 && indexof(datum.way, 'norms') < 0 && indexof(datum.way, 'int8') < 0",
      },
    ],
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'rank', type: 'ordinal' },
      y: { field: 'KL, nats', type: 'quantitative' },
      color: { field: 'kind', type: 'nominal', title: 'init' },
      strokeDash: {
        field: 'loops',
        type: 'nominal',
        legend: { symbolType: 'stroke', symbolStrokeColor: '#666', symbolSize: 300 },
      },
    },
  },
};

export const qualityPlot: Plot = {
  name: 'bytes',
  title: 'KL from the original by the size of the bundle',
  spec: {
    width: 420,
    height: 260,
    transform: [{ filter: "datum.kind !== 'original'" }],
    mark: { type: 'point', filled: true },
    encoding: {
      x: { field: 'MB', type: 'quantitative', title: 'MB' },
      y: { field: 'KL, nats', type: 'quantitative' },
      color: { field: 'kind', type: 'nominal' },
      shape: { field: 'loops', type: 'nominal' },
    },
  },
};
