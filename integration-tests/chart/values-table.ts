import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

/** One value of a chart: its path, its default, and what the sentence above it says. */
export interface ValueRow {
  readonly path: string;
  readonly fallback: string;
  readonly meaning: string;
}

/**
 * The values of `text`, a values.yaml: a row for every key that has a comment, but for maps whose keys have comments of their own.
 * @throws Error naming a value that neither has a comment nor stands below one
 */
export function valueRows(text: string): ValueRow[] {
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new Error('values.yaml: expected a map');
  return rowsOf(contents as YAMLMap, '', false);
}

function rowsOf(map: YAMLMap, above: string, covered: boolean): ValueRow[] {
  return map.items.flatMap((pair: Pair, index) => {
    const key = pair.key as { value: string; commentBefore?: string };
    const path = above === '' ? key.value : `${above}.${key.value}`;
    // The comment above the first key of a map is kept with the map.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
    const meaning = comment ? paragraph(comment) : undefined;
    const { value } = pair;
    const below = isMap(value) && value.items.length > 0 ? (value as YAMLMap) : undefined;
    const explained = below?.items.some((item, at) => commentOf(item, at, below));
    if (below !== undefined && (explained || meaning === undefined)) {
      const row = meaning === undefined ? [] : [{ path, fallback: '', meaning }];
      return [...row, ...rowsOf(below, path, covered || meaning !== undefined)];
    }
    if (meaning === undefined) {
      if (covered) return [];
      throw new Error(`values.yaml: ${path} has no comment`);
    }
    const fallback = isScalar(value) ? value.toJSON() : ((value as YAMLMap | null)?.toJSON() ?? null);
    return [{ path, fallback: JSON.stringify(fallback), meaning }];
  });
}

/** The last paragraph of a comment: what stands right above the key. */
const paragraph = (comment: string): string => comment.split('\n\n').at(-1)!.replaceAll(/\s+/g, ' ').trim();

const commentOf = (pair: Pair, at: number, map: YAMLMap): string | undefined =>
  (pair.key as { commentBefore?: string }).commentBefore ??
  (at === 0 ? (map.commentBefore ?? undefined) : undefined);

/** A table in Markdown. */
export const valuesTable = (rows: readonly ValueRow[]): string =>
  [
    '| value | default | meaning |',
    '| --- | --- | --- |',
    ...rows.map(({ path, fallback, meaning }) => {
      const shown = fallback === '' ? '' : `\`${fallback}\``;
      return `| \`${path}\` | ${shown} | ${meaning.replaceAll('|', '\\|')} |`;
    }),
  ].join('\n');
