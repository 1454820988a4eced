import type { AdapterMatrix, Size, SizeReport } from '@rondo/converter';

/** What tying and its factors cost and kept: sizes before and after, and by kind of matrix how much of the residuals is there. */
export function conversionTable(
  { source, written, factors }: SizeReport,
  matrices: readonly AdapterMatrix[],
): string {
  const size = (name: string, { parameters, bytes }: Size) =>
    `${name.padEnd(16)} ${millions(parameters)} ${millions(bytes)} ${percent(bytes / source.bytes)}`;
  const sizes = [
    `${''.padEnd(16)} ${'parameters'.padStart(12)} ${'bytes'.padStart(12)} ${'of before'.padStart(9)}`,
    size('before', source),
    size('after', written),
    ...(factors.parameters > 0 ? [size('  its factors', factors)] : []),
  ];
  return [...sizes, ...keptRows(matrices)].join('\n');
}

function keptRows(matrices: readonly AdapterMatrix[]): string[] {
  const byTarget = Map.groupBy(matrices, ({ target }) => target);
  if (byTarget.size === 0) return [];
  const rows = [...byTarget].map(([target, all]) => {
    const ranks = all.map(({ rank }) => rank);
    const [low, high] = [Math.min(...ranks), Math.max(...ranks)];
    const shares = all.flatMap(({ share }) => (share === undefined ? [] : [share]));
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const kept =
      shares.length > 0
        ? `${percent(mean)} ${percent(Math.min(...shares))} ${percent(Math.max(...shares))}`
        : '';
    return `${target.padEnd(16)} ${(low === high ? `${low}` : `${low}-${high}`).padStart(12)} ${kept}`;
  });
  const heads = ['mean', 'least', 'most'].map((head) => head.padStart(9)).join(' ');
  return ['', `${"residuals' energy kept".padEnd(22)} ${'rank'.padStart(6)} ${heads}`, ...rows];
}

const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`.padStart(12);
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`.padStart(9);
