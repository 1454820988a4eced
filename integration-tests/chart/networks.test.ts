import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { EVERYTHING } from './everything.ts';
import { Chart, EXAMPLES, HELM_MISSING, LEAST } from './helm.ts';
import { argument, type KubeObject, podOf } from './kube-object.ts';
import { arrowsOf, componentsOf, denies } from './network-arrows.ts';

const arrows = (objects: readonly KubeObject[]) =>
  arrowsOf(objects)
    .map(({ from, to, port }) => `${from} → ${to}:${port}`)
    .sort();

const DESIGN = [
  'coordinator → nats:4222',
  'coordinator → worker:7600',
  'nats → nats:6222',
  'test → coordinator:8080',
  'test → worker:9090',
  'worker → nats:4222',
  'worker → worker:7600',
];

describe('networks', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());

  for (const { name, file } of [
    { name: 'the least', file: LEAST },
    { name: 'all', file: EVERYTHING },
    ...EXAMPLES,
  ]) {
    test(`${name}: everything is denied to and from every pod`, async () => {
      const objects = await chart.render(file);
      for (const component of componentsOf(objects)) {
        const installed = objects.some(({ metadata }) => metadata.name === 'rondo-nats');
        if (component.name === 'nats' && !installed) continue;
        for (const direction of ['Ingress', 'Egress'] as const) {
          assert.ok(denies(objects, component, direction), `${component.name} ${direction}`);
        }
      }
    });
  }

  test('inside the release only the arrows of the design are open, from both of their ends', async () => {
    for (const values of [LEAST, EVERYTHING]) assert.deepEqual(arrows(await chart.render(values)), DESIGN);
  });

  test('with NATS servers elsewhere nothing opens to pods that are called so', async () => {
    const peers = [{ ipBlock: { cidr: '192.0.2.1/32' } }];
    const objects = await chart.render({
      ...LEAST,
      nats: { enabled: false },
      membership: { urls: ['nats://nats.example:4222'] },
      networkPolicies: { nats: peers },
    });
    assert.deepEqual(
      arrows(objects),
      DESIGN.filter((arrow) => !arrow.includes('nats')),
    );
    const egress = objects.filter(
      ({ kind, spec }) => kind === 'NetworkPolicy' && JSON.stringify(spec.egress ?? '').includes('192.0.2.1'),
    );
    assert.equal(egress.length, 2);
  });

  test('what goes out of the release is names, and what values name', async () => {
    const outside = (objects: readonly KubeObject[]) => [
      ...new Set(
        objects.flatMap(({ kind, spec }) =>
          kind !== 'NetworkPolicy'
            ? []
            : (spec.egress ?? []).flatMap(({ to }: { to: object[] }) =>
                to
                  .filter((peer) => !('podSelector' in peer) || 'namespaceSelector' in peer)
                  .map((peer) => JSON.stringify(peer)),
              ),
        ),
      ),
    ];
    const [dns, ...others] = outside(await chart.render(LEAST));
    assert.match(dns!, /kube-dns/);
    assert.deepEqual(others, []);
    assert.equal(outside(await chart.render(EVERYTHING)).length, 3);
  });

  test('coordinators and workers send traces, so they are told where and let out', async () => {
    const objects = await chart.render(EVERYTHING);
    const telling = objects.filter((object) =>
      JSON.stringify(podOf(object) ?? '').includes('OTEL_EXPORTER_OTLP_ENDPOINT'),
    );
    const letOut = objects.filter(
      ({ kind, spec }) =>
        kind === 'NetworkPolicy' && JSON.stringify(spec.egress ?? '').includes('"monitoring"'),
    );
    const processes = objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind));
    assert.deepEqual(telling, processes);
    assert.deepEqual(
      letOut.map(({ metadata }) => metadata.name),
      ['rondo-coordinator', 'rondo-worker'],
    );
  });

  test('without clients the API is open to helm test alone', async () => {
    const objects = await chart.render({ ...LEAST, networkPolicies: { clients: [] } });
    assert.deepEqual(arrows(objects), DESIGN);
    const { ingress } = objects.find(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'rondo-coordinator',
    )!.spec;
    const open = ingress.find(({ ports }: { ports: { port: string }[] }) => ports[0]!.port === 'http');
    assert.deepEqual(
      open.from.map(
        ({ podSelector }: { podSelector: { matchLabels: Record<string, string> } }) =>
          podSelector.matchLabels['app.kubernetes.io/component'],
      ),
      ['test'],
    );
  });

  test('without policies none is left behind', async () => {
    const objects = await chart.render({ ...LEAST, networkPolicies: { enabled: false } });
    assert.ok(objects.every(({ kind }) => kind !== 'NetworkPolicy'));
  });

  test('every port that a process listens on is declared, and the other way round', async () => {
    for (const object of await chart.render(EVERYTHING)) {
      for (const { args, ports = [] } of object.kind === 'Pod' ? [] : (podOf(object)?.containers ?? [])) {
        const listening = ['listen', 'admin'].map((name) => Number(argument(args, name)!.split(':')[1]));
        assert.deepEqual(ports.map(({ containerPort }) => containerPort).sort(), listening.sort());
      }
    }
  });
});
