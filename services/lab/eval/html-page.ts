import { drawPlot } from '../bench/plot.ts';
import type { Row } from '../bench/suite.ts';
import type { Variant } from './evaluation.ts';
import { METRICS, wholeValue } from './metrics.ts';
import { type EvalReport, exitText, fullCell } from './report.ts';

const MEGABYTE = 1e6;

/**
 * The report as one page that needs nothing else: tables, and perplexity against depth, against passes spent and, with adapters of
 * several ranks, against rank.
 */
export async function htmlPage({ suite, a, bs, differences, commit, date }: EvalReport): Promise<string> {
  const variants = bs.map((b, at) => [`B${at + 1} ${b.directory}`, b] as const);
  const cells = variants.flatMap(([model, b]) => cellRows(model, b));
  const full = variants.map(([model, b]) => ({
    model,
    rank: b.rank,
    perplexity: wholeValue(METRICS[0]!, fullCell(b).scores),
  }));
  const plots = [
    await perplexityPlot(
      'Perplexity against depth',
      'passes',
      cells.filter(({ way }) => way === 'depth'),
    ),
    await perplexityPlot('Perplexity against passes spent', 'passes', cells),
  ];
  if (new Set(full.map(({ rank }) => rank)).size > 1) {
    plots.push(await perplexityPlot('Perplexity against rank', 'rank', full));
  }
  const compared = differences.map(({ b, exit, metric, ofA, ofB, difference }) => ({
    model: variants[b]![0],
    exit: exitText(exit),
    metric,
    A: ofA.toFixed(4),
    B: ofB.toFixed(4),
    'B − A': difference.value.toFixed(4),
    low: difference.low.toFixed(4),
    high: difference.high.toFixed(4),
  }));
  const models = [[`A ${a.directory}`, a] as const, ...variants].map(([model, variant]) => ({
    model,
    precision: variant.precision,
    passes: variant.maxDepth,
    rank: variant.rank,
    MB: (variant.bytes / MEGABYTE).toFixed(1),
  }));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>rondo eval: ${escaped(suite.name)}</title>
<style>body{font:15px sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse;margin:1em 0}
td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:left}</style></head><body>
<h1>rondo eval: suite ${escaped(suite.name)}, version ${suite.version}</h1>
<p>Commit ${escaped(commit)}, ${escaped(date)}</p>
${table(models)}${plots.join('\n')}${table(compared)}</body></html>
`;
}

function cellRows(model: string, { cells }: Variant) {
  return cells.map(({ exit, scores }) => ({
    model,
    way: exit.kind === 'depth' ? 'depth' : exit.policy,
    passes: wholeValue(METRICS.find(({ name }) => name === 'passes')!, scores),
    perplexity: wholeValue(METRICS[0]!, scores),
  }));
}

const perplexityPlot = (title: string, x: string, rows: readonly Row[]): Promise<string> =>
  drawPlot(
    {
      name: 'perplexity',
      title,
      spec: {
        width: 480,
        height: 280,
        mark: { type: 'point', filled: true },
        encoding: {
          x: { field: x, type: 'quantitative', scale: { zero: false } },
          y: { field: 'perplexity', type: 'quantitative', scale: { zero: false } },
          color: { field: 'model', type: 'nominal' },
          ...(x === 'passes' && { shape: { field: 'way', type: 'nominal' } }),
        },
      },
    },
    rows,
  );

function table(rows: readonly Row[]): string {
  const names = Object.keys(rows[0] ?? {});
  const line = (tag: string, cells: readonly (string | number)[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(String(cell))}</${tag}>`).join('')}</tr>\n`;
  const body = rows.map((row) =>
    line(
      'td',
      names.map((name) => row[name]!),
    ),
  );
  return `<table>\n${line('th', names)}${body.join('')}</table>\n`;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
