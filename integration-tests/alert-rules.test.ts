import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PROMTOOL_MISSING } from './prometheus-server.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { alertQueries, dashboardQueries, metricsOf, UNTRACED } from './watched-queries.ts';

const INFRA = new URL('../infra/', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, INFRA), 'utf8');
const names = (text: string, pattern: RegExp) => [...new Set(text.match(pattern))].sort();

test('every alert has its line in the runbook, and the runbook no other', () => {
  const alerts = names(read('rules.yaml'), /(?<=alert: )\w+/g);
  assert.ok(alerts.length > 0);
  assert.deepEqual(names(read('RUNBOOK.md'), /(?<=^\| `)\w+/gm), alerts);
  assert.deepEqual(
    alertQueries()
      .map(({ asker }) => asker)
      .sort(),
    alerts,
  );
});

test('the dashboards are what their tables say', () => {
  const script = fileURLToPath(new URL('grafana/dashboards.ts', INFRA));
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('alerts and dashboards ask only for metrics that a running cluster tells', async () => {
  await using bundle = await TinyBundle.make(2);
  await using cluster = await RondoProcess.start(
    ...['run', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--kv-mb', '16'],
    ...UNTRACED,
  );
  const told = await (await fetch(`${cluster.ready}/metrics`)).text();
  const types = new Map([...told.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]));
  const asked = [...alertQueries(), ...dashboardQueries()].flatMap(({ query }) => metricsOf(query));
  assert.ok(asked.length > 0);
  const untold = asked.filter((name) => {
    const whole = name.replace(/_(?:bucket|sum|count)$/, '');
    return name === whole ? name !== 'up' && !types.has(name) : types.get(whole) !== 'histogram';
  });
  assert.deepEqual(untold, []);
});

test('promtool takes the rules and their unit tests', { skip: PROMTOOL_MISSING }, () => {
  for (const args of [
    ['check', 'rules', 'rules.yaml'],
    ['test', 'rules', 'rules.test.yaml'],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: INFRA, encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  }
});
