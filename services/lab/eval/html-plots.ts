import { drawPlot } from '../bench/plot.ts';
import type { Row } from '../bench/suite.ts';
import type { ExitChoice } from './cells.ts';
import type { Variant } from './evaluation.ts';
import { metricValue, type Scores } from './metrics.ts';
import { exitText, fullCell } from './report.ts';

/** A variant as it is called on the page. */
export type Named = readonly [name: string, variant: Variant];

interface Point extends Row {
  readonly model: string;
  /** By which way rows leave: `all rows`, or a policy. */
  readonly exits: string;
  readonly way: string;
  readonly passes: number;
  readonly perplexity: number;
  readonly agreement: number;
}

const ALL_ROWS = 'all rows';

/**
 * SVG drawings of an evaluation: quality against depth and against passes spent, against rank when there are several, and against
 * speed when it was measured. They take their text's colour from where they stand, and each point says what it is.
 */
export async function evalPlots(a: Named, bs: readonly Named[]): Promise<string[]> {
  const all = [a, ...bs];
  // Thresholds are tried on the first windows only: whatever shares a plot is told of these.
  const windows = Math.min(
    ...all.flatMap(([, { cells }]) => cells.map(({ scores }) => scores.windows.length)),
  );
  const points = all.flatMap(([model, { cells }]) =>
    cells.map(({ exit, scores }) => pointOf(model, exit, firstWindows(scores, windows))),
  );
  const looped = points.filter(({ model }) => model !== a[0]);
  const depths = looped.filter(({ exits }) => exits === ALL_ROWS);
  const whole = pointOf(a[0], fullCell(a[1]).exit, firstWindows(fullCell(a[1]).scores, windows));
  const ranks = bs.map(([model, variant]) => ({
    ...pointOf(model, fullCell(variant).exit, firstWindows(fullCell(variant).scores, windows)),
    rank: variant.rank,
  }));
  const speeds = all.flatMap(([model, variant]) => speedPoints(model, variant, windows));
  const drawings = [
    plot('Quality against depth', 'passes', 'passes of every row', 'perplexity', depths, whole),
    plot('Quality against passes spent', 'passes', 'passes per token', 'perplexity', looped, whole),
    plot('Agreement against passes spent', 'passes', 'passes per token', 'agreement', looped),
  ];
  if (new Set(ranks.map(({ rank }) => rank)).size > 1) {
    drawings.push(plot('Quality against rank', 'rank', 'rank of the adapters', 'perplexity', ranks, whole));
  }
  if (speeds.length > 0) {
    drawings.push(
      plot('Speed against quality', 'speed', 'tokens/s of all clients', 'perplexity', speeds, undefined, 0),
    );
  }
  return await Promise.all(drawings);
}

const firstWindows = (scores: Scores, count: number): Scores => ({
  ...scores,
  windows: scores.windows.slice(0, count),
});

const pointOf = (model: string, exit: ExitChoice, scores: Scores): Point => ({
  model,
  exits: exit.kind === 'depth' ? ALL_ROWS : exit.policy,
  way: exitText(exit),
  passes: metricValue('passes', scores),
  perplexity: metricValue('perplexity', scores),
  agreement: metricValue('agreement', scores),
});

const speedPoints = (model: string, { cells, speed }: Variant, windows: number): Row[] =>
  (speed?.together ?? []).map(({ exit, tokensPerS }) => {
    const { scores } = cells.find((cell) => exitText(cell.exit) === exitText(exit))!;
    return { ...pointOf(model, exit, firstWindows(scores, windows)), speed: tokensPerS };
  });

const Y_TITLES = { perplexity: 'perplexity (lower is better)', agreement: 'next token as A, share' };
/** Told apart on white and on black, and by those who see few colours. */
const COLOURS = ['#3f83d8', '#e07b16', '#2a9d74', '#c8518b', '#8a6fd6', '#8f8a2b'];

/** Points joined by lines, of one model and policy each; a dashed line where A is. */
async function plot(
  title: string,
  x: 'passes' | 'rank' | 'speed',
  xTitle: string,
  y: keyof typeof Y_TITLES,
  rows: readonly Row[],
  ofA?: Point,
  lines = 1.5,
): Promise<string> {
  const models = [...new Set(rows.map(({ model }) => model))];
  const tooltip = ['model', 'way', x, y].map((field) => ({ field }));
  const encoding = {
    x: {
      field: x,
      type: 'quantitative',
      scale: { zero: false, padding: 12 },
      axis: { title: xTitle, tickMinStep: x === 'rank' ? 1 : 0 },
    },
    y: { field: y, type: 'quantitative', scale: { zero: false, padding: 12 }, title: Y_TITLES[y] },
    color: {
      field: 'model',
      type: 'nominal',
      scale: { domain: models, range: COLOURS },
      legend: { columns: 1, symbolOpacity: 1 },
    },
  };
  const ways = { field: 'exits', type: 'nominal', title: 'rows that leave', legend: { columns: 4 } };
  const description = {
    expr: `datum.model + ', ' + datum.way + ': ' + format(datum.${x}, '.4~g') + ' ${x}, ${y} ' + format(datum.${y}, '.4~g')`,
  };
  const layer = [
    {
      mark: { type: 'line', strokeWidth: lines, opacity: 0.6, aria: false },
      encoding: { ...encoding, detail: ways },
    },
    {
      mark: { type: 'point', filled: true, size: 70, opacity: 1, description },
      encoding: { ...encoding, shape: ways, tooltip },
    },
    ...(ofA
      ? [
          {
            data: { values: [ofA] },
            mark: { type: 'rule', strokeDash: [5, 4], color: 'currentColor', opacity: 0.6 },
            encoding: { y: { field: y, type: 'quantitative' } },
          },
          {
            data: { values: [{ ...ofA, label: 'A' }] },
            mark: { type: 'text', align: 'left', dx: 4, x: 'width', color: 'currentColor' },
            encoding: { y: { field: y, type: 'quantitative' }, text: { field: 'label' } },
          },
        ]
      : []),
  ];
  const ink = { labelColor: 'currentColor', titleColor: 'currentColor' };
  const config = {
    background: null,
    font: 'system-ui, sans-serif',
    view: { stroke: null },
    title: { color: 'currentColor', anchor: 'start', fontSize: 15 },
    axis: {
      ...ink,
      domainColor: 'currentColor',
      tickColor: 'currentColor',
      gridColor: 'currentColor',
      gridOpacity: 0.12,
    },
    legend: {
      ...ink,
      orient: 'bottom',
      direction: 'vertical',
      labelLimit: 400,
      symbolFillColor: 'currentColor',
    },
  };
  return withTitles(
    await drawPlot({ name: `${x} ${y}`, title, spec: { width: 440, height: 260, layer, config } }, rows),
  );
}

/** A browser shows the title of what the pointer is on; vega writes it as a label, for those who do not see. */
const withTitles = (svg: string): string =>
  svg.replace(
    /<path aria-label="([^"]*)"([^>]*)(?:\/>|><\/path>)/g,
    '<path aria-label="$1"$2><title>$1</title></path>',
  );
