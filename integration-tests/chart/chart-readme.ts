import { readFileSync } from 'node:fs';
import { valueRows, valuesTable } from './values-table.ts';

const CHART = new URL('../../charts/rondo/', import.meta.url);
const MARK = '<!-- values: make chart-readme writes what follows -->';

export const README = new URL('README.md', CHART);

/** The chart's README with a table of the values that there are now. */
export function chartReadme(): string {
  const readme = readFileSync(README, 'utf8');
  const table = valuesTable(valueRows(readFileSync(new URL('values.yaml', CHART), 'utf8')));
  return `${readme.slice(0, readme.indexOf(MARK))}${MARK}\n\n${table}\n`;
}
