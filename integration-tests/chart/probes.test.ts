import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Chart, HELM_MISSING, LEAST } from './helm.ts';
import { type Container, podOf } from './kube-object.ts';

describe('probes', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());
  let coordinator: Container;
  let worker: Container;
  before(async () => {
    const objects = await chart.render({ ...LEAST, worker: { startSeconds: 900 } });
    const containerOf = (kind: string) =>
      podOf(objects.find((object) => object.kind === kind)!)!.containers[0]!;
    [coordinator, worker] = [containerOf('Deployment'), containerOf('StatefulSet')];
  });

  test('readiness asks whether the process can serve, liveness only whether it still turns', () => {
    for (const { livenessProbe, readinessProbe } of [coordinator, worker]) {
      assert.deepEqual(livenessProbe!.httpGet, { path: '/healthz', port: 'admin' });
      assert.deepEqual(readinessProbe!.httpGet, { path: '/readyz', port: 'admin' });
    }
  });

  test('a coordinator has started when its API is open, with or without workers', () => {
    assert.deepEqual(coordinator.startupProbe!.tcpSocket, { port: 'http' });
  });

  test('a worker has started when a pass has run, for which it has the seconds that values say', () => {
    const { httpGet, periodSeconds, failureThreshold } = worker.startupProbe!;
    assert.deepEqual(httpGet, { path: '/readyz', port: 'admin' });
    assert.equal(periodSeconds * failureThreshold, 900);
  });

  test('a process that hangs is restarted within a minute, one that is slow once is not', () => {
    for (const { livenessProbe } of [coordinator, worker]) {
      const { periodSeconds, failureThreshold, timeoutSeconds } = livenessProbe!;
      assert.ok(periodSeconds * failureThreshold <= 60);
      assert.ok(failureThreshold > 1 && timeoutSeconds! > 1);
    }
  });

  test('probes ask ports that the container declares', () => {
    for (const { ports, startupProbe, livenessProbe, readinessProbe } of [coordinator, worker]) {
      for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
        const port = (probe!.httpGet ?? probe!.tcpSocket)!.port;
        assert.ok(
          ports!.some(({ name }) => name === port),
          port,
        );
      }
    }
  });
});
