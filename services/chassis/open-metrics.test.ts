import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

const lines = (text: string, name: string) => text.split('\n').filter((line) => line.includes(name));

test('OpenMetrics has exemplars behind the buckets, describes counters by their stem and marks its end', async () => {
  const metrics = new Metrics();
  metrics.labelled({ model: 'm' }).histogram('rondo_wait_seconds', 'Waits', [1, 2]).observe({}, 1.5, 'abc');
  metrics.labelled({ model: 'm' }).histogram('rondo_wait_seconds', 'Waits', [1, 2]).observe({}, 9, 'def');
  metrics.counter('rondo_things_total', 'Things').inc(3);
  const text = (await metrics.rendered('application/openmetrics-text')).body;
  assert.match(
    text,
    /rondo_wait_seconds_bucket\{le="2",model="m"\} 1 # \{trace_id="abc"\} 1\.5 \d+\.\d{3}\n/,
  );
  assert.match(text, /rondo_wait_seconds_bucket\{le="\+Inf",model="m"\} 2 # \{trace_id="def"\} 9 \d/);
  assert.match(text, /rondo_wait_seconds_bucket\{le="1",model="m"\} 0\n/);
  assert.match(text, /# TYPE rondo_things counter\nrondo_things_total 3\n/);
  assert.ok(text.endsWith('\n# EOF\n') && !text.includes('\n\n'));
});

test("Prometheus' own format stays as it is", async () => {
  const metrics = new Metrics();
  metrics.histogram('rondo_wait_seconds', 'Waits', [1, 2]).observe({}, 1.5, 'abc');
  metrics.counter('rondo_things_total', 'Things').inc(3);
  const text = await metrics.render();
  assert.ok(lines(text, 'rondo_wait_seconds').every((line) => !line.includes('abc')));
  assert.match(text, /# TYPE rondo_things_total counter/);
});

test('who asks for OpenMetrics gets it', async () => {
  const metrics = new Metrics();
  const prometheus =
    'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1';
  assert.match((await metrics.rendered(prometheus)).type, /openmetrics-text; version=1\.0\.0/);
  assert.match((await metrics.rendered('*/*')).type, /text\/plain; version=0\.0\.4/);
  assert.match((await metrics.rendered(undefined)).type, /text\/plain/);
});
