import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { newApiKey } from '@rondo/coordinator';
import { Authority } from './certificates.ts';
import { freePort } from './free-port.ts';
import { NATS_MISSING, NatsServer } from './nats-server.ts';
import { OtlpReceiver } from './otlp/receiver.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const LOOK_MS = 50;
/** What nothing here makes happen: their labels are not seen. */
const WITHOUT_SERIES: readonly string[] = [
  'rondo_batch_ended_total',
  'rondo_batch_lines_total',
  'rondo_dropped_events_total',
  'rondo_hop_rows',
  'rondo_hop_seconds',
  'rondo_shadow_dropped_events_total',
  'rondo_watched_file_changes_total',
];

interface Metric {
  readonly name: string;
  readonly type: string;
  /** Undefined when no series is there to tell them. */
  readonly labels: string | undefined;
  readonly meaning: string;
}

/** What a page in Prometheus' format says of Rondo's own metrics. */
const metricsOf = (page: string): Metric[] =>
  [...page.matchAll(/^# HELP (rondo_\w+) (.*)\n# TYPE \1 (\w+)$/gm)].map(([, name, meaning, type]) => {
    const series = new RegExp(`^${name}(?:_bucket)?(?:\\{(.*)\\})? \\S+$`, 'm').exec(page);
    const told = [...(series?.[1] ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label!);
    const own = told.filter((label) => label !== 'le').sort();
    const labels = series ? own.join(', ') : undefined;
    return { name: name!, type: type!, labels, meaning: meaning! };
  });

/** The rows of docs/METRICS.md: name, type, labels, unit, where it is. */
const documented = readFileSync(new URL('../docs/METRICS.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `rondo_'))
  .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
  .map(([, name = '', type = '', unit = '', labels = '', meaning = '']) => ({
    name,
    type,
    unit,
    labels,
    meaning,
  }));

/** Everything that a coordinator and its workers tell, having answered: keys, splits, shadows, traces. */
async function told(): Promise<string> {
  await using one = await TinyBundle.make(2);
  await using other = await TinyBundle.make(3);
  await using receiver = await OtlpReceiver.start();
  const directory = await mkdtemp(join(tmpdir(), 'rondo-keys-'));
  const { key, line } = newApiKey('reader', {});
  await writeFile(join(directory, 'keys'), `${line}\n`);
  try {
    await using cluster = await RondoProcess.start(
      ...['run', '--model', `one=${one.directory}`, '--model', `other=${other.directory}`],
      ...['--route', 'split=one:100', '--shadow', 'split=other:100', '--listen', '127.0.0.1:0'],
      ...['--kv-mb', '16', '--workers', '1', '--api-keys', join(directory, 'keys')],
      ...['--otlp-endpoint', receiver.grpcUrl, '--trace-sample', '1'],
    );
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ model: 'split', prompt: 'once', max_tokens: 4, temperature: 0 });
    const answer = await fetch(`${cluster.ready}/v1/completions`, { method: 'POST', headers, body });
    assert.equal(answer.status, 200, await answer.text());
    for (;;) {
      const page = await (await fetch(`${cluster.ready}/metrics`, { headers })).text();
      // The shadow begins when the answer is out.
      if (/^rondo_shadow_requests_total\{/m.test(page)) return page;
      await delay(LOOK_MS);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** What a coordinator with NATS and a certificate tells beyond that, before any worker is there. */
async function toldWithNats(): Promise<string> {
  await using bundle = await TinyBundle.make(2);
  await using nats = await NatsServer.start();
  const directory = await mkdtemp(join(tmpdir(), 'rondo-https-'));
  const { cert, key } = new Authority('clients').issue('coordinator', { hosts: ['127.0.0.1'] });
  await writeFile(join(directory, 'cert.pem'), cert);
  await writeFile(join(directory, 'key.pem'), key);
  const admin = `127.0.0.1:${await freePort()}`;
  try {
    await using _ = await RondoProcess.start(
      ...['coordinator', '--model', bundle.directory, '--nats', nats.url, '--listen', '127.0.0.1:0'],
      ...['--admin', admin, '--https-cert', join(directory, 'cert.pem')],
      ...['--https-key', join(directory, 'key.pem')],
    );
    return await (await fetch(`http://${admin}/metrics`)).text();
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('docs/METRICS.md lists every metric as a coordinator and a worker tell it, and no other', {
  skip: NATS_MISSING,
  timeout: 120_000,
}, async () => {
  const pages = [await told(), await toldWithNats()];
  const found = new Map<string, Metric>();
  for (const metric of pages.flatMap(metricsOf)) {
    // A page without series of it says less than another that has some.
    if (found.get(metric.name)?.labels === undefined) found.set(metric.name, metric);
  }
  assert.ok(found.size > 0);
  assert.deepEqual(
    documented.map(({ name }) => name),
    [...found.keys()].sort(),
  );
  for (const { name, type, unit, labels, meaning } of documented) {
    const told = found.get(name)!;
    assert.equal(type, told.type, name);
    if (told.labels !== undefined) assert.equal(labels, told.labels, name);
    assert.equal(meaning, told.meaning, name);
    assert.ok(unit !== '', name);
  }
  const silent = [...found.values()].filter(({ labels }) => labels === undefined).map(({ name }) => name);
  assert.deepEqual(silent.sort(), WITHOUT_SERIES);
  assert.match(pages[0]!, /^nodejs_eventloop_lag_p99_seconds /m);
});
