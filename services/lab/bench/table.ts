import type { Row } from './suite.ts';

/** A cell's text: numbers with as many digits as they deserve. */
export function cellText(value: string | number | undefined): string {
  if (typeof value !== 'number') return value ?? '';
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size < 0.0005) return value.toExponential(1);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

interface Columns {
  readonly names: readonly string[];
  /** Columns of numbers are aligned to the right. */
  readonly numeric: readonly boolean[];
  readonly cells: readonly (readonly string[])[];
}

function columns(rows: readonly Row[]): Columns {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const numeric = names.map((name) => rows.some((row) => typeof row[name] === 'number'));
  return { names, numeric, cells: rows.map((row) => names.map((name) => cellText(row[name]))) };
}

/** Rows as a table for a terminal, with a header line. Empty text for no rows. */
export function terminalTable(rows: readonly Row[]): string {
  const { names, numeric, cells } = columns(rows);
  const lines = [names, ...cells];
  const widths = names.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, at) => (numeric[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
    .concat(names.length > 0 ? '\n' : '');
}

/** Rows as a Markdown table. Empty text for no rows. */
export function markdownTable(rows: readonly Row[]): string {
  const { names, numeric, cells } = columns(rows);
  if (names.length === 0) return '';
  const line = (parts: readonly string[]) =>
    `| ${parts.map((part) => part.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return [line(names), line(numeric.map((right) => (right ? '---:' : '---'))), ...cells.map(line)].join('');
}
