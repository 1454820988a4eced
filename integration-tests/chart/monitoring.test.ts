import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { BY_SERVICES, EVERYTHING } from './everything.ts';
import { Chart, HELM_MISSING, LEAST } from './helm.ts';
import { type KubeObject, podLabels, podOf, selects } from './kube-object.ts';

interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly { readonly key: string; readonly values: readonly string[] }[];
}

const isSelected = ({ matchLabels, matchExpressions }: Selector, labels: Readonly<Record<string, string>>) =>
  selects(matchLabels, labels) && matchExpressions.every(({ key, values }) => values.includes(labels[key]!));

const workloads = (objects: readonly KubeObject[]) =>
  objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind));
const named = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name).sort();
const one = (objects: readonly KubeObject[], kind: string): KubeObject => {
  const [found, ...others] = objects.filter((object) => object.kind === kind);
  assert.ok(found && others.length === 0, kind);
  return found;
};

describe('monitoring', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());

  test('a PodMonitor finds the metrics of every coordinator and worker, and of nobody else', async () => {
    const objects = await chart.render(EVERYTHING);
    const { selector, podMetricsEndpoints } = one(objects, 'PodMonitor').spec;
    const found = objects.filter((object) => podOf(object) && isSelected(selector, podLabels(object)));
    assert.deepEqual(named(found), named(workloads(objects)));
    assert.deepEqual(
      podMetricsEndpoints.map(({ port }: { port: string }) => port),
      ['admin'],
    );
  });

  test('a ServiceMonitor finds the same, each once, by headless Services', async () => {
    const objects = await chart.render(BY_SERVICES);
    assert.ok(objects.every(({ kind }) => kind !== 'PodMonitor'));
    const { selector, endpoints } = one(objects, 'ServiceMonitor').spec;
    assert.deepEqual(
      endpoints[0].relabelings,
      one(await chart.render(EVERYTHING), 'PodMonitor').spec.podMetricsEndpoints[0].relabelings,
    );
    const found = objects.filter(
      ({ kind, metadata, spec }) =>
        kind === 'Service' &&
        isSelected(selector, metadata.labels) &&
        spec.ports.some(({ name }: { name: string }) => name === endpoints[0].port),
    );
    for (const { spec } of found) {
      assert.equal(spec.clusterIP, 'None');
      assert.equal(spec.publishNotReadyAddresses, true);
    }
    const led = found.flatMap(({ spec }) =>
      workloads(objects).filter((object) => selects(spec.selector, podLabels(object))),
    );
    assert.deepEqual(named(led), named(workloads(objects)));
  });

  test('the Service that clients are given does not lead to metrics', async () => {
    const published = { ...LEAST, coordinator: { service: { type: 'LoadBalancer' } } };
    for (const monitoring of [{ podMonitors: true }, { serviceMonitor: true }]) {
      const objects = await chart.render({ ...published, monitoring });
      const open = objects.filter(({ kind, spec }) => kind === 'Service' && spec.type === 'LoadBalancer');
      assert.deepEqual(
        open.map(({ spec }) => spec.ports.map(({ name }: { name: string }) => name)),
        [['http']],
      );
    }
  });
});
