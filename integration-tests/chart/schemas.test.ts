import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { BY_SERVICES, EVERYTHING } from './everything.ts';
import { Chart, EXAMPLES, HELM_MISSING, LEAST } from './helm.ts';
import { KubernetesSchemas, SCHEMAS_MISSING } from './kubernetes-schemas.ts';

describe('the chart', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());

  const cases = [
    { name: 'all that can be switched on', file: EVERYTHING },
    { name: 'the same by Services', file: BY_SERVICES },
    ...EXAMPLES,
  ];

  test('there are examples', () => {
    assert.deepEqual(
      EXAMPLES.map(({ name }) => name),
      ['air-gapped', 'eight-gpu-nodes', 'laptop', 'one-gpu-node'],
    );
  });

  for (const { name, file } of cases) {
    test(`${name}: helm lint has nothing to say`, async () => {
      assert.match(await chart.lint(file), /1 chart\(s\) linted, 0 chart\(s\) failed/);
    });

    test(`${name}: every object is what Kubernetes 1.31 to 1.34 take`, {
      skip: SCHEMAS_MISSING,
    }, async () => {
      const objects = await chart.render(file);
      assert.ok(objects.length > 10);
      for (const schemas of KubernetesSchemas.all()) {
        for (const object of objects) {
          assert.deepEqual(
            schemas.faults(object),
            [],
            `${schemas.version} ${object.kind} ${object.metadata.name}`,
          );
        }
      }
    });
  }

  test('the schemas find a field that is misspelt, of a wrong type, or of a kind that is not there', {
    skip: SCHEMAS_MISSING,
  }, async () => {
    const [schemas] = KubernetesSchemas.all();
    const objects = await chart.render(EVERYTHING);
    const faults = (kind: string, change: (spec: Record<string, unknown>) => void) => {
      const object = structuredClone(objects.find((each) => each.kind === kind)!);
      change(object.spec);
      return schemas!.faults(object).length;
    };
    assert.ok(faults('StatefulSet', (spec) => Object.assign(spec, { replica: 2 })) > 0);
    assert.ok(faults('StatefulSet', (spec) => Object.assign(spec, { replicas: 'two' })) > 0);
    assert.ok(faults('PodMonitor', (spec) => Object.assign(spec, { podMetricsEndpoints: 'admin' })) > 0);
    assert.ok(faults('ScaledObject', (spec) => Object.assign(spec, { triggers: undefined })) > 0);
    const [object] = objects;
    assert.equal(schemas!.faults({ ...object!, apiVersion: 'extensions/v1beta1' }).length, 1);
  });

  for (const [what, wrong] of Object.entries({
    'at the top': { bundle: [] },
    'in a pool': { pools: [{ name: 'cpu', bundle: 'looped', replica: 3 }] },
    'of the coordinator': { coordinator: { drainSecond: 3 } },
    'in a bundle': { bundles: [{ name: 'looped', pvc: { claim: 'a' }, diggest: 'a' }] },
    'of networks': { networkPolicies: { enable: true } },
  })) {
    test(`a value that is misspelt ${what} is refused by name`, async () => {
      const [name] =
        JSON.stringify(wrong).match(/bundle(?=":\[\])|replica(?=":)|drainSecond|diggest|enable(?=":)/) ?? [];
      await assert.rejects(chart.render({ ...LEAST, ...wrong }), new RegExp(`'${name}'`));
    });
  }

  for (const [what, wrong, message] of [
    ['no bundle', { bundles: [] }, /minItems/],
    [
      'a bundle in two places',
      { bundles: [{ name: 'looped', hostPath: '/a', pvc: { claim: 'a' } }] },
      /oneOf/,
    ],
    [
      'authorization for what is not fetched',
      { bundles: [{ name: 'looped', pvc: { claim: 'a' }, authorizationSecret: 'a' }] },
      /authorizationSecret/,
    ],
    [
      'presigned URLs for what is not fetched',
      { bundles: [{ name: 'looped', hostPath: '/a', presignedSecret: 'a' }] },
      /presignedSecret/,
    ],
    [
      'a server of bundles that is both told and signed for',
      {
        bundles: [
          {
            ...{ name: 'looped', url: 'https://a/b', digest: 'a'.repeat(64) },
            ...{ authorizationSecret: 'a', presignedSecret: 'a' },
          },
        ],
      },
      /not/,
    ],
    ['a bundle from afar without its digest', { bundles: [{ name: 'looped', url: 'https://a/b' }] }, /oneOf/],
    [
      'a pool of a bundle that is not there',
      { pools: [{ name: 'cpu', bundle: 'flat' }] },
      /cpu holds the bundle "flat"/,
    ],
    ['a pool twice', { pools: [LEAST.pools[0], LEAST.pools[0]] }, /cpu is there twice/],
    [
      'monitors of both kinds',
      { monitoring: { podMonitors: true, serviceMonitor: true } },
      /counted twice; enable one/,
    ],
    ['no NATS', { nats: { enabled: false } }, /membership\.urls: name NATS servers/],
    [
      'NATS servers behind no network policy',
      { nats: { enabled: false }, membership: { urls: ['nats://nats:4222'] } },
      /networkPolicies\.nats/,
    ],
  ] as const) {
    test(`${what} is refused with a reason`, async () => {
      await assert.rejects(chart.render({ ...LEAST, ...wrong }), message);
    });
  }
});
