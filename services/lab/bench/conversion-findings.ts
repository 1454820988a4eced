import type { Conversion } from './conversion.ts';
import type { Goal, Plot } from './suite.ts';

/** What the paper leads one to expect (Bae et al. 2024, section 4), held against what was found. */
export function conversionGoals(found: readonly Conversion[]): Goal[] {
  const of = (kind: string, loops: number, rank: number) =>
    found.find(
      ({ way }) => way.kind === kind && way.loops === loops && way.rank === rank && !way.kept && !way.norms,
    );
  const ranks = (kind: string) =>
    found.filter(({ way }) => way.kind === kind && way.loops === 2 && !way.kept && !way.norms);
  return [
    ...(['stepwise', 'average'] as const).flatMap((kind) => falling(`${kind} x2`, ranks(kind))),
    ...below('without factors, x2', of('stepwise', 2, 0), of('average', 2, 0)),
    ...below('without factors, x3', of('stepwise', 3, 0), of('average', 3, 0)),
    ...[64, 256].flatMap((rank) =>
      below(`rank ${rank}, x2`, of('average', 2, rank), of('stepwise', 2, rank)),
    ),
  ];
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
  title: 'KL from the original by the rank of the factors, two loops',
  spec: {
    width: 420,
    height: 260,
    transform: [
      {
        filter:
          "datum.loops === 2 && datum.kind !== 'repeat' && indexof(datum.way, 'kept') < 0 && indexof(datum.way, 'norms') < 0",
      },
    ],
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'rank', type: 'ordinal' },
      y: { field: 'KL, nats', type: 'quantitative' },
      color: { field: 'kind', type: 'nominal', title: 'init' },
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
      x: { field: 'MB', type: 'quantitative', title: 'MB in f32' },
      y: { field: 'KL, nats', type: 'quantitative' },
      color: { field: 'kind', type: 'nominal' },
      shape: { field: 'loops', type: 'nominal' },
    },
  },
};
