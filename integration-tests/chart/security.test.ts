import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { EVERYTHING } from './everything.ts';
import { Chart, EXAMPLES, HELM_MISSING, LEAST } from './helm.ts';
import { type KubeObject, podOf } from './kube-object.ts';

/** Kinds of volumes that the restricted Pod Security Standard knows. */
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

describe('security', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());

  const cases = [{ name: 'the least', file: LEAST }, { name: 'all', file: EVERYTHING }, ...EXAMPLES];
  const pods = (objects: readonly KubeObject[]) =>
    objects.flatMap((object) => {
      const pod = podOf(object);
      return pod === undefined ? [] : [{ name: `${object.kind} ${object.metadata.name}`, pod }];
    });

  for (const { name, file } of cases) {
    test(`${name}: every pod meets the restricted Pod Security Standard and gets no token`, async () => {
      const drawn = pods(await chart.render(file));
      assert.ok(drawn.length >= 3);
      for (const { name: which, pod } of drawn) {
        const { runAsNonRoot, runAsUser, runAsGroup, seccompProfile } = pod.securityContext;
        assert.deepEqual(
          { runAsNonRoot, runAsUser, runAsGroup, seccompProfile },
          {
            runAsNonRoot: true,
            runAsUser: 65532,
            runAsGroup: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          which,
        );
        assert.equal(pod.automountServiceAccountToken, false, which);
        assert.equal(pod.enableServiceLinks, false, which);
        for (const shared of ['hostNetwork', 'hostPID', 'hostIPC'])
          assert.ok(!(shared in pod), `${which} ${shared}`);
        for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
          assert.deepEqual(
            container.securityContext,
            {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            `${which} ${container.name}`,
          );
        }
        const kinds = (pod.volumes ?? []).flatMap((volume) =>
          Object.keys(volume).filter((key) => key !== 'name'),
        );
        const allowed = name === 'laptop' ? [...VOLUMES, 'hostPath'] : VOLUMES;
        assert.deepEqual(
          kinds.filter((kind) => !allowed.includes(kind)),
          [],
          which,
        );
      }
    });

    test(`${name}: a container writes to /tmp, and to a bundle only before it is served`, async () => {
      for (const { name: which, pod } of pods(await chart.render(file))) {
        const written = (containers: typeof pod.containers = []) =>
          containers.flatMap(({ volumeMounts = [] }) =>
            volumeMounts
              .filter(({ readOnly, mountPath }) => readOnly !== true && mountPath !== '/extra')
              .map(({ mountPath }) => mountPath),
          );
        assert.deepEqual(
          new Set(written(pod.containers)),
          new Set(which.startsWith('Pod ') ? [] : ['/tmp']),
          which,
        );
        for (const path of written(pod.initContainers)) assert.match(path, /^\/bundles\/[a-z]+$/, which);
      }
    });
  }

  test('accounts hand out no token, and nobody is given rights', async () => {
    const objects = await chart.render(EVERYTHING);
    const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount');
    assert.equal(accounts.length, 2);
    for (const account of accounts) assert.equal(account.automountServiceAccountToken, false);
    assert.deepEqual(
      objects.filter(({ apiVersion }) => apiVersion.startsWith('rbac.')),
      [],
    );
    const named = new Set(accounts.map(({ metadata }) => metadata.name));
    for (const { name, pod } of pods(objects)) assert.ok(named.has(pod.serviceAccountName), name);
  });

  test('the chart makes no secrets and shows none: they are mounted or referred to', async () => {
    const objects = await chart.render(EVERYTHING);
    assert.deepEqual(
      objects.filter(({ kind }) => kind === 'Secret'),
      [],
    );
    const { spec } = objects.find(({ kind }) => kind === 'Deployment')!;
    const secrets = spec.template.spec.volumes.flatMap(
      ({ secret }: { secret?: { secretName: string } }) => secret?.secretName ?? [],
    );
    assert.deepEqual(secrets.sort(), [
      'https',
      'keys',
      'models',
      'nats',
      'nats-ca',
      'rondo-peers',
      'stored-urls',
    ]);
  });

  test('an image is named by its digest where one is given, else by a tag that is not latest', async () => {
    const images = (values: object | string) =>
      chart
        .render(values)
        .then((objects) =>
          pods(objects).flatMap(({ pod }) =>
            [...(pod.initContainers ?? []), ...pod.containers].map(({ image }) => image),
          ),
        );
    const { file } = EXAMPLES.find(({ name }) => name === 'air-gapped')!;
    for (const image of await images(file)) {
      assert.match(
        image,
        /^registry\.internal\/(rondo\/rondo-(coordinator|worker)@sha256:[0-9a-f]{64}|bundles\/looped:1)$/,
      );
    }
    for (const image of await images(LEAST))
      assert.match(image, /^rondo-(coordinator|worker):\d+\.\d+\.\d+$/);
  });
});
