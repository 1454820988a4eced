import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RondoError } from '@rondo/core';
import { describeMachine } from './machine.ts';
import { drawPlot } from './plot.ts';
import { type BenchReport, goalRows } from './report.ts';
import { markdownTable } from './table.ts';

/**
 * Whether `<docs>/<name>` can show `suite`, asked before hours are spent on measuring it.
 * @throws RondoError CONFIG_INVALID when the page has no markers for the suite.
 */
export async function checkDocuments(suite: string, docs: string, name = 'BENCHMARKS.md'): Promise<void> {
  const page = join(docs, name);
  replaceSection(await readFile(page, 'utf8'), suite, '', page);
}

/**
 * Puts `report` into `<docs>/<name>`, between the markers of its suite, and its plots into
 * `<docs>/benchmarks/<suite>-<plot>.svg`.
 * @throws RondoError CONFIG_INVALID when the page has no markers for the suite.
 */
export async function writeDocuments(
  report: BenchReport,
  docs: string,
  name = 'BENCHMARKS.md',
): Promise<void> {
  const page = join(docs, name);
  const text = replaceSection(await readFile(page, 'utf8'), report.suite, section(report), page);
  await mkdir(join(docs, 'benchmarks'), { recursive: true });
  for (const plot of report.plots) {
    await writeFile(join(docs, plotPath(report.suite, plot.name)), await drawPlot(plot, report.rows));
  }
  await writeFile(page, text);
}

const plotPath = (suite: string, plot: string): string => `benchmarks/${suite}-${plot}.svg`;

/** `text` with what stands between the markers of `suite` replaced by `body`; `page` is named in the error. */
export function replaceSection(text: string, suite: string, body: string, page: string): string {
  const [open, close] = [`<!-- bench:${suite} -->\n`, `<!-- /bench:${suite} -->`];
  const start = text.indexOf(open);
  const end = text.indexOf(close, start);
  if (start < 0 || end < 0) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${page}: expected the lines ${open.trim()} and ${close}, found none`,
    );
  }
  return `${text.slice(0, start + open.length)}${body}${text.slice(end)}`;
}

function section(report: BenchReport): string {
  const parts = [
    `\`${report.command}\` at commit ${report.commit}, ${report.date.slice(0, 10)}, on ${describeMachine(report.machine)}.\n`,
    ...report.notes.map((note) => `${note}\n`),
    markdownTable(goalRows(report.goals)),
    ...report.plots.map(({ name, title }) => `![${title}](${plotPath(report.suite, name)})\n`),
    markdownTable(report.rows),
  ];
  return parts
    .filter((part) => part !== '')
    .map((part) => `\n${part}`)
    .join('')
    .concat('\n');
}
