import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { chartReadme, README } from './chart-readme.ts';
import { EVERYTHING } from './everything.ts';
import { Chart, HELM_MISSING } from './helm.ts';
import { valueRows } from './values-table.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

test('the README lists the values that there are', () => {
  assert.equal(readFileSync(README, 'utf8'), chartReadme(), 'run make chart-readme');
});

test('alerts and dashboards are those of infra, not copies', { skip: HELM_MISSING }, async () => {
  await using chart = Chart.copy();
  const objects = await chart.render(EVERYTHING);
  const rules = objects.filter(({ kind }) => kind === 'PrometheusRule');
  assert.deepEqual(
    rules.map(({ spec }) => spec),
    [parse(read('infra/rules.yaml'))],
  );
  const drawn = objects.filter(({ metadata }) => metadata.labels.grafana_dashboard === '1');
  const dashboards = globSync('infra/grafana/dashboards/*.json', { cwd: ROOT }).sort();
  assert.ok(dashboards.length > 0);
  assert.deepEqual(
    drawn.flatMap(({ data }) => Object.entries(data!).map(([name, text]) => [name, JSON.parse(text)])).sort(),
    dashboards.map((path) => [basename(path), JSON.parse(read(path))]),
  );
});

test('a value without a sentence is found by its path', () => {
  assert.deepEqual(valueRows('# One.\na:\n  # Two.\n  b: 1\n  # Three.\n  c: {}\n'), [
    { path: 'a', fallback: '', meaning: 'One.' },
    { path: 'a.b', fallback: '1', meaning: 'Two.' },
    { path: 'a.c', fallback: '{}', meaning: 'Three.' },
  ]);
  assert.deepEqual(valueRows('# All of it.\na:\n  b: 1\n'), [
    { path: 'a', fallback: '{"b":1}', meaning: 'All of it.' },
  ]);
  assert.throws(() => valueRows('# One.\na: 1\nb: 2\n'), /b has no comment/);
});

test('every sentence about a value ends as one', () => {
  for (const { path, meaning } of valueRows(read('charts/rondo/values.yaml'))) {
    assert.match(meaning, /^[A-Z].*\.$/, path);
  }
});

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

test('the schema has exactly the keys of values.yaml', () => {
  const schema = JSON.parse(read('charts/rondo/values.schema.json')) as Schema;
  const missing: string[] = [];
  const compare = (values: unknown, at: Schema, path: string): void => {
    const found = at.$ref === undefined ? at : schema.$defs![at.$ref.slice('#/$defs/'.length)]!;
    if (found.properties === undefined || found.additionalProperties !== false) return;
    const keys = Object.keys((values ?? {}) as object);
    missing.push(
      ...Object.keys(found.properties)
        .filter((key) => !keys.includes(key))
        .map((key) => `${path}.${key}`),
    );
    for (const key of keys)
      compare((values as Record<string, unknown>)[key], found.properties[key] ?? {}, `${path}.${key}`);
  };
  compare(parse(read('charts/rondo/values.yaml')), schema, '');
  // What charts are given by charts that depend on them has no default.
  assert.deepEqual(missing, ['.global']);
});

test('each template draws one kind of object and fits on a screen or two', () => {
  for (const path of globSync('charts/rondo/templates/*/*.yaml', { cwd: ROOT })) {
    const text = read(path);
    assert.equal(text.match(/^kind: /gm)?.length, 1, path);
    assert.ok(text.split('\n').length <= 200, `${path} is long`);
  }
});
