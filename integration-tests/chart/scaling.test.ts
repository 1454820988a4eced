import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RondoProcess } from '../rondo-process.ts';
import { TinyBundle } from '../tiny-bundle.ts';
import { BY_SERVICES, EVERYTHING } from './everything.ts';
import { Chart, HELM_MISSING, LEAST } from './helm.ts';
import { argument, type KubeObject, podOf } from './kube-object.ts';

interface Trigger {
  readonly metadata: { readonly query: string };
}

interface Metric {
  readonly external?: { readonly metric: { readonly selector: object } };
}

interface Relabeling {
  readonly targetLabel: string;
  readonly sourceLabels?: readonly string[];
}

describe('scaling', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());
  let objects: KubeObject[];
  before(async () => {
    objects = await chart.render(EVERYTHING);
  });

  const of = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name);

  test('who is scaled has no replicas of its own that an upgrade would set back, and who is not has', () => {
    assert.equal(of('Deployment', 'rondo')!.spec.replicas, undefined);
    assert.equal(of('StatefulSet', 'rondo-big')!.spec.replicas, undefined);
    assert.equal(of('StatefulSet', 'rondo-lean')!.spec.replicas, undefined);
    assert.equal(of('StatefulSet', 'rondo-small')!.spec.replicas, 5);
  });

  test('a pool is scaled by one of the two, and each scales what is there', () => {
    const scaled = objects.flatMap(({ kind, spec }) =>
      ['HorizontalPodAutoscaler', 'ScaledObject'].includes(kind)
        ? [`${kind} ${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`]
        : [],
    );
    assert.deepEqual(scaled.sort(), [
      'HorizontalPodAutoscaler Deployment/rondo',
      'HorizontalPodAutoscaler StatefulSet/rondo-lean',
      'ScaledObject StatefulSet/rondo-big',
    ]);
  });

  test('workers go one at a time, and only after ten quiet minutes', () => {
    const lean = of('HorizontalPodAutoscaler', 'rondo-lean')!.spec.behavior;
    const big = of('ScaledObject', 'rondo-big')!.spec.advanced.horizontalPodAutoscalerConfig.behavior;
    for (const { scaleDown } of [lean, big]) {
      assert.equal(scaleDown.stabilizationWindowSeconds, 600);
      assert.deepEqual(
        scaleDown.policies.map(({ value }: { value: number }) => value),
        [1],
      );
    }
  });

  test('what is scaled by is what a running cluster tells', async () => {
    await using bundle = await TinyBundle.make(2);
    await using cluster = await RondoProcess.start(
      ...['run', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--kv-mb', '16'],
    );
    // A gauge with labels is told from its first value on.
    const answer = await fetch(`${cluster.ready}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt: [1, 2, 3], max_tokens: 2 }),
    });
    assert.equal(answer.status, 200, await answer.text());
    const told = await (await fetch(`${cluster.ready}/metrics`)).text();
    const queries = of('ScaledObject', 'rondo-big')!.spec.triggers.map(
      ({ metadata }: Trigger) => metadata.query,
    );
    const names = [...new Set(queries.join(' ').match(/\brondo_\w+/g))];
    assert.deepEqual(names.sort(), ['rondo_kv_pages', 'rondo_sequences_waiting']);
    for (const name of names) assert.match(told, new RegExp(`^# TYPE ${name} gauge$`, 'm'));
    assert.match(told, /^rondo_sequences_waiting\{[^}]*model="/m);
    assert.match(told, /^rondo_kv_pages\{[^}]*state="used"/m);
  });

  test('a release is scaled by its own requests and memory, also beside another of the same models and pools', async () => {
    const second = await chart.render(EVERYTHING, 'second');
    const askedOf = (drawn: readonly KubeObject[]): string[] => {
      const queries = drawn
        .filter(({ kind }) => kind === 'ScaledObject')
        .flatMap(({ spec }) => spec.triggers.map((trigger: Trigger) => trigger.metadata.query));
      const selectors = drawn
        .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
        .flatMap(({ spec }) =>
          spec.metrics.flatMap((metric: Metric) => metric.external?.metric.selector ?? []),
        );
      assert.ok(queries.length > 0 && selectors.length > 0);
      // Every series that a query asks for, apart.
      return [
        ...queries.flatMap((query) => query.match(/\{[^}]*\}/g)!),
        ...selectors.map((each) => JSON.stringify(each)),
      ];
    };
    const [ours, theirs] = [askedOf(objects), askedOf(second)];
    assert.deepEqual(
      ours.filter((asked) => theirs.includes(asked)),
      [],
    );
    assert.deepEqual(
      theirs.map((asked) => asked.replace('second', 'rondo')),
      ours,
    );
  });

  test('the labels that scaling asks for are put on by whoever scrapes, or the metric’s own', async () => {
    const byServices = await chart.render(BY_SERVICES);
    const own = ['namespace', 'model', 'state'];
    const asked = JSON.stringify(of('ScaledObject', 'rondo-big')!.spec.triggers).matchAll(/(\w+)=\\"/g);
    const labels = [...new Set([...asked].map(([, label]) => label))].filter(
      (label) => !own.includes(label!),
    );
    assert.deepEqual(labels, ['release', 'pool']);
    const podLabelsOf = (relabelings: readonly Relabeling[]) =>
      labels.map((label) => relabelings.find(({ targetLabel }) => targetLabel === label)?.sourceLabels);
    const spec = (drawn: readonly KubeObject[], wanted: string) =>
      drawn.find(({ kind }) => kind === wanted)!.spec;
    for (const [endpoint] of [
      spec(objects, 'PodMonitor').podMetricsEndpoints,
      spec(byServices, 'ServiceMonitor').endpoints,
    ])
      assert.deepEqual(podLabelsOf(endpoint.relabelings), [
        ['__meta_kubernetes_pod_label_app_kubernetes_io_instance'],
        ['__meta_kubernetes_pod_label_rondo_pool'],
      ]);
  });

  test("a worker's requests are its limits, and its devices whole ones", () => {
    for (const object of objects.filter(({ kind }) => kind === 'StatefulSet')) {
      const { requests, limits } = podOf(object)!.containers[0]!.resources;
      assert.deepEqual(requests, limits);
      assert.equal(limits['nvidia.com/gpu'], object.metadata.name === 'rondo-lean' ? 1 : undefined);
    }
  });

  test('a pool on a device has the image with its libraries and asks for its provider, all others the small one', () => {
    const drawn = objects
      .filter(({ kind }) => kind === 'StatefulSet')
      .map((object) => podOf(object)!.containers[0]!)
      .map(({ image, args }) => [image.replace(/.*\//, ''), argument(args, 'provider')]);
    assert.deepEqual(drawn, [
      ['rondo-worker:0.1.0', 'cpu'],
      ['rondo-worker-gpu:0.1.0', 'cuda'],
      ['rondo-worker:0.1.0', 'cpu'],
    ]);
  });

  test('an engine has as many threads as whole processors, at least one', async () => {
    const threads = async (cpu: string) => {
      const drawn = await chart.render({ ...LEAST, worker: { resources: { cpu } } });
      const pool = drawn.find(({ kind }) => kind === 'StatefulSet')!;
      return argument(podOf(pool)!.containers[0]!.args, 'threads');
    };
    assert.deepEqual(await Promise.all(['4', '2500m', '500m', '1.5', '16'].map(threads)), [
      '4',
      '2',
      '1',
      '1',
      '16',
    ]);
  });
});
