import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';
import { SERIES_MAX } from './series.ts';

const linesOf = async (metrics: Metrics, name: string): Promise<string[]> =>
  (await metrics.render()).split('\n').filter((line) => line.startsWith(name));

test('counters, gauges and histograms render in the text format', async () => {
  const metrics = new Metrics();
  const ended = metrics.counter('rondo_ended_total', 'Ended', ['reason']);
  ended.inc({ reason: 'stop' });
  ended.inc({ reason: 'stop' }, 2);
  metrics.counter('rondo_plain_total', 'Plain').inc(4);
  const running = metrics.gauge('rondo_running', 'Running');
  running.set(5);
  running.inc();
  running.dec(2);
  metrics.histogram('rondo_wait_seconds', 'Wait', [0.1, 1], ['kind']).observe({ kind: 'cold' }, 0.5);
  assert.deepEqual(await linesOf(metrics, 'rondo_'), [
    'rondo_ended_total{reason="stop"} 3',
    'rondo_plain_total 4',
    'rondo_running 4',
    'rondo_wait_seconds_bucket{le="0.1",kind="cold"} 0',
    'rondo_wait_seconds_bucket{le="1",kind="cold"} 1',
    'rondo_wait_seconds_bucket{le="+Inf",kind="cold"} 1',
    'rondo_wait_seconds_sum{kind="cold"} 0.5',
    'rondo_wait_seconds_count{kind="cold"} 1',
  ]);
  assert.match((await metrics.rendered(undefined)).type, /text\/plain/);
});

test('a process tells its own CPU and memory, and two registries do not mix', async () => {
  const one = new Metrics();
  const two = new Metrics();
  one.counter('rondo_x_total', 'X').inc();
  assert.equal((await linesOf(one, 'process_cpu_seconds_total')).length, 1);
  assert.deepEqual(await linesOf(two, 'rondo_x_total'), []);
});

test('a counter tells zero before it has counted, so that its first count is a rise', async () => {
  const metrics = new Metrics();
  metrics.labelled({ worker: 'w-1' }).counter('rondo_lies_total', 'Lies');
  assert.deepEqual(await linesOf(metrics, 'rondo_lies_total'), ['rondo_lies_total{worker="w-1"} 0']);
});

test('two parts of a process that count the same thing add up', async () => {
  const metrics = new Metrics();
  metrics.counter('rondo_steps_total', 'Steps').inc();
  metrics.counter('rondo_steps_total', 'Steps').inc();
  assert.deepEqual(await linesOf(metrics, 'rondo_steps_total'), ['rondo_steps_total 2']);
});

test('labelled views of one registry keep their parts apart', async () => {
  const metrics = new Metrics();
  for (const [worker, rows] of [['w-1', 3] as const, ['w-2', 5] as const]) {
    const view = metrics.labelled({ worker });
    view.gauge('rondo_rows', 'Rows').set(rows);
    view.counter('rondo_runs_total', 'Runs', ['stack']).inc({ stack: 'block' }, rows);
  }
  assert.deepEqual(await linesOf(metrics, 'rondo_'), [
    'rondo_rows{worker="w-1"} 3',
    'rondo_rows{worker="w-2"} 5',
    'rondo_runs_total{stack="block",worker="w-1"} 3',
    'rondo_runs_total{stack="block",worker="w-2"} 5',
  ]);
});

test('one name cannot mean two metrics', () => {
  const metrics = new Metrics();
  metrics.counter('rondo_a', 'A', ['x']);
  assert.throws(() => metrics.gauge('rondo_a', 'A', ['x']), { code: 'INTERNAL', message: /rondo_a/ });
  assert.throws(() => metrics.counter('rondo_a', 'A', ['y']), { code: 'INTERNAL' });
});

test('label values without end are gathered under other', async () => {
  const metrics = new Metrics();
  const counter = metrics.counter('rondo_b_total', 'B', ['path']);
  for (let index = 0; index < SERIES_MAX + 10; index++) counter.inc({ path: `/${index}` });
  counter.inc({ path: '/0' });
  const lines = await linesOf(metrics, 'rondo_b_total');
  assert.equal(lines.length, SERIES_MAX + 1);
  assert.ok(lines.includes('rondo_b_total{path="other"} 10'));
  assert.ok(lines.includes('rondo_b_total{path="/0"} 2'));
});
