import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort } from './free-port.ts';
import { PROMETHEUS_MISSING, PrometheusServer } from './prometheus-server.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { ToldStream } from './told-stream.ts';
import { alertQueries, dashboardQueries, labelsOf, metricsOf, UNTRACED } from './watched-queries.ts';

/** So many that an answer takes longer than a worker to be killed. */
const LOOPS = 24;

describe('a cluster that Prometheus scrapes', { skip: PROMETHEUS_MISSING }, () => {
  const running: AsyncDisposable[] = [];
  let prometheus: PrometheusServer;
  const asked = [...alertQueries(), ...dashboardQueries()];

  const keep = <T extends AsyncDisposable>(started: T): T => {
    running.unshift(started);
    return started;
  };

  /** Two workers, a coordinator that keeps requests at home and one that splits them, a killed worker. */
  before(async () => {
    const bundle = keep(await TinyBundle.make(LOOPS));
    const startWorker = async () => {
      const admin = `127.0.0.1:${await freePort()}`;
      const started = await RondoProcess.start(
        ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--admin', admin],
        ...['--threads', '1', '--kv-mb', '64'],
      );
      return { worker: keep(started), admin };
    };
    const workers = [await startWorker(), await startWorker()];
    const startCoordinator = async (placement: string) =>
      keep(
        await RondoProcess.start(
          ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0'],
          ...workers.flatMap(({ worker }) => ['--worker', worker.ready]),
          ...['--placement', placement, ...UNTRACED],
        ),
      ).ready;
    const [homed, staged] = [await startCoordinator('homed'), await startCoordinator('staged')];
    const targets = [
      ...workers.map(({ admin }) => admin),
      ...[homed, staged].map((url) => new URL(url).host),
    ];
    prometheus = keep(await PrometheusServer.start(targets));
    await prometheus.until('count(up == 1) == 4');

    const ask = (url: string, first: number) => new ToldStream(url, { prompt: [first, 6, 7], max_tokens: 8 });
    for (const url of [homed, staged]) await ask(url, 5).ended;
    // What Prometheus sees for the first time counts as having always been so.
    await prometheus.until('sum(rondo_generated_tokens_total) >= 16');
    for (const url of [homed, staged]) await ask(url, 5).ended;
    await prometheus.until('sum(rondo_generated_tokens_total) >= 32');

    const long = [3, 4, 5, 6].map((first) => new ToldStream(homed, { prompt: [first, 6], max_tokens: 400 }));
    await Promise.all(long.map((stream) => stream.told(5)));
    workers[1]!.worker.kill('SIGKILL');
    await Promise.all(long.map(({ ended }) => ended));
    await prometheus.until('increase(rondo_recoveries_total[5m]) > 0');
  });
  after(async () => {
    for (const each of running) await each[Symbol.asyncDispose]();
  });

  test('a process that is lost shows as a target that is down', async () => {
    await prometheus.until('count(up{job="rondo"} == 0) == 1');
    assert.equal((await prometheus.query('up{job="rondo"} == 1')).length, 3);
  });

  test('what alerts and dashboards ask has an answer', async () => {
    const unanswered: string[] = [];
    for (const { asker, query } of asked)
      if ((await prometheus.query(query)).length === 0) unanswered.push(`${asker}: ${query}`);
    assert.deepEqual(unanswered, []);
  });

  test('every label they select, group or name by is there', async () => {
    const isThere = async (metric: string, label: string) =>
      (await prometheus.query(`${metric}{${label}!=""}`)).length > 0;
    const missing: string[] = [];
    for (const { asker, query, legend } of asked) {
      for (const metric of metricsOf(query))
        for (const label of labelsOf(query))
          if (!(await isThere(metric, label))) missing.push(`${asker}: ${metric} has no ${label}`);
      for (const label of legend)
        if (!labelsOf(query).includes(label)) missing.push(`${asker}: no ${label} in ${query}`);
    }
    assert.deepEqual(missing, []);
  });
});
