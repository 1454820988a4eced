import type { Row } from '../bench/suite.ts';
import { evalPlots, type Named } from './html-plots.ts';
import { metricOf } from './metrics.ts';
import {
  type Difference,
  digits,
  type EvalReport,
  exitText,
  fullCell,
  speedNotes,
  speedRows,
} from './report.ts';

const STYLE = `
:root{color-scheme:light dark;--ink:light-dark(#1d2733,#e4e9ef);--paper:light-dark(#fff,#14181d);--line:light-dark(#d5dae0,#39424d);--faint:light-dark(#5b6774,#9aa6b2)}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:75rem;padding:0 1.5rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}p{color:var(--faint);margin:.2rem 0}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(32rem,100%),1fr));gap:1.5rem}figure{margin:0}.plots svg{max-width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.8rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
th{color:var(--faint);font-weight:600}summary{cursor:pointer}`;

/** The report as one page that needs nothing else: plots and tables. */
export async function htmlPage({
  suite,
  a,
  bs,
  differences,
  confidence,
  commit,
  date,
}: EvalReport): Promise<string> {
  const ofA: Named = [`A ${a.directory}`, a];
  const ofBs = bs.map((b, at): Named => [`B${at + 1} ${b.directory}`, b]);
  const all = [ofA, ...ofBs];
  const models = all.map(([model, { precision, maxDepth, rank, bytes }]) => ({
    model,
    precision,
    passes: maxDepth,
    rank,
    'bundle, MB': (bytes / 1e6).toFixed(1),
  }));
  const speeds = all.flatMap(([model, variant]) => speedRows(variant, model));
  const speedless = all.flatMap(([model, variant]) => speedNotes(variant, model));
  const plots = await evalPlots(ofA, ofBs);
  const whole = differences.filter(({ b, exit }) => exit === fullCell(bs[b]!).exit);
  const compared = (some: readonly Difference[]) => table(some.map((each) => differenceRow(each, ofBs)));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>rondo eval: ${escaped(suite.name)}</title><style>${STYLE}</style></head><body>
<h1>rondo eval</h1>
<p>Suite ${escaped(suite.name)}, version ${suite.version} · commit ${escaped(commit)} · ${escaped(date)}</p>
${table(models)}
<h2>Plots</h2><p>The dashed line is A with all its passes. Point at a mark to read it. All are over the windows that thresholds were tried on.</p>
<div class="plots">${plots.map((svg) => `<figure>${svg}</figure>`).join('\n')}</div>
${speeds.length > 0 ? `<h2>Served by one worker</h2><p>A prompt and an answer as long as the suite's greedy texts.</p>${table(speeds)}` : ''}
${speedless.map((note) => `<p>${escaped(note)}</p>`).join('\n')}
<h2>B beside A, with all passes</h2><p>B − A, and where it lies with ${confidence * 100} % confidence.</p>
${compared(whole)}
<details><summary>Every depth and threshold</summary>${compared(differences)}</details>
</body></html>
`;
}

const differenceRow = ({ b, exit, metric, ofA, ofB, difference }: Difference, bs: readonly Named[]): Row => ({
  model: bs[b]![0],
  exit: exitText(exit),
  metric: metricOf(metric).title,
  A: digits(ofA),
  B: digits(ofB),
  'B − A': digits(difference.value),
  low: digits(difference.low),
  high: digits(difference.high),
});

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
  return `<div class="wide"><table>\n${line('th', names)}${body.join('')}</table></div>\n`;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
