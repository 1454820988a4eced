import { readdirSync, readFileSync } from 'node:fs';

const INFRA = new URL('../infra/', import.meta.url);

/** A query that an alert or a panel asks Prometheus. */
export interface WatchedQuery {
  /** The alert, or dashboard and panel. */
  readonly asker: string;
  readonly query: string;
  /** Labels that its legend names. */
  readonly legend: readonly string[];
}

interface DashboardFile {
  readonly title: string;
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

/** Options of a process that counts spans as one with a receiver does, and sends none: nobody needs to listen there. */
export const UNTRACED = ['--otlp-endpoint', 'http://127.0.0.1:4317', '--trace-sample', '0'] as const;

const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found]) => found!);

/** What the alerts of infra/rules.yaml look at: their conditions without the bound. */
export const alertQueries = (): readonly WatchedQuery[] =>
  [...readFileSync(new URL('rules.yaml', INFRA), 'utf8').matchAll(/alert: (\w+)\n +expr: (.+)\n/g)].map(
    ([, asker, condition]) => ({
      asker: asker!,
      query: condition!.replace(/ (?:==|>|<) [\d.]+$/, ''),
      legend: [],
    }),
  );

/** What the panels of infra/grafana/dashboards show, with a window instead of Grafana's variable. */
export const dashboardQueries = (): readonly WatchedQuery[] => {
  const directory = new URL('grafana/dashboards/', INFRA);
  return readdirSync(directory).flatMap((file) => {
    const { title, panels } = JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as DashboardFile;
    return panels.flatMap((panel) =>
      panel.targets.map(({ expr, legendFormat }) => ({
        asker: `${title}, ${panel.title}`,
        query: expr.replaceAll('$__rate_interval', '1m'),
        legend: matches(legendFormat, /\{\{(\w+)\}\}/g),
      })),
    );
  });
};

/** The metrics that a query names. */
export const metricsOf = (query: string): readonly string[] => [
  ...new Set(query.match(/\b(?:rondo|nodejs|process)_\w+|\bup\b/g)),
];

/** The labels that a query selects or groups by. */
export const labelsOf = (query: string): readonly string[] => [
  ...new Set([
    ...matches(query, /\bby \(([^)]*)\)/g).flatMap((labels) => labels.split(/,\s*/)),
    ...matches(query, /[{,](\w+)(?:=|!=|=~|!~)"/g),
  ]),
];
