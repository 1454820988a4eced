import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EVERYTHING } from './everything.ts';
import { Chart, EXAMPLES, HELM_MISSING, LEAST } from './helm.ts';
import { argument, type KubeObject, podLabels, podOf, selects } from './kube-object.ts';

const idOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.name}`;

const NAMES = ['name', 'serviceName', 'secretName', 'claimName', 'subPath', 'ingressClassName'];
const MAPS_OF_NAMES = ['labels', 'matchLabels'];

/** Where a name or a label below `node` is not a text, as the API server wants it. */
const notTexts = (node: unknown, path: string): string[] =>
  Object.entries((node ?? {}) as object).flatMap(([key, value]) => {
    const at = `${path}.${key}`;
    const isName = NAMES.includes(key) || MAPS_OF_NAMES.some((map) => path.endsWith(`.${map}`));
    if (isName && typeof value !== 'string') return [`${at}: ${value}`];
    return typeof value === 'object' ? notTexts(value, at) : [];
  });

describe('names', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());
  let objects: KubeObject[];
  before(async () => {
    objects = await chart.render(EVERYTHING);
  });

  test('no two objects share a name, also of two releases in one namespace', async () => {
    const all = [...objects, ...(await chart.render(EVERYTHING, 'second'))].map(idOf);
    assert.deepEqual(
      all.filter((id, at) => all.indexOf(id) !== at),
      [],
    );
  });

  test('names stay within what Kubernetes adds to them, however long the release and the pool are called', async () => {
    const pools = [{ name: 'a-pool-of-twenty-cha', bundle: 'looped' }];
    for (const object of await chart.render({ ...LEAST, pools }, 'r'.repeat(53))) {
      const most = object.kind === 'StatefulSet' ? 52 : 63;
      assert.ok(object.metadata.name.length <= most, idOf(object));
    }
    await assert.rejects(
      chart.render({ ...LEAST, pools: [{ name: 'x'.repeat(21), bundle: 'looped' }] }),
      /pattern/,
    );
  });

  test('names and labels are texts, also where they read as numbers', async () => {
    const values = {
      ...EVERYTHING,
      bundles: [{ name: '7', pvc: { claim: '1', path: '2025' } }],
      nameOverride: '12',
      fullnameOverride: '34',
      images: { pullSecrets: ['5'] },
      pools: [
        { name: '4090', bundle: '7', autoscaling: { enabled: true, kind: 'hpa' } },
        { name: '1e3', bundle: '7', autoscaling: { enabled: true, kind: 'keda' } },
      ],
      membership: { credentialsSecret: '1', caSecret: '2' },
      apiKeys: { existingSecret: '3' },
      tls: { existingSecret: '4', httpsSecret: '5' },
      tests: { apiKeySecret: '6', caSecret: '7' },
    };
    const drawn = await chart.render(values, '8');
    assert.deepEqual(
      drawn.flatMap((object) => notTexts(object, idOf(object))),
      [],
    );
    for (const service of drawn.filter(({ kind }) => kind === 'Service'))
      assert.deepEqual(notTexts({ labels: service.spec.selector }, idOf(service)), []);
  });

  test('every object says what it belongs to, with labels of one value each', () => {
    for (const object of objects) {
      const { labels } = object.metadata;
      assert.equal(labels['app.kubernetes.io/name'], 'rondo', idOf(object));
      assert.equal(labels['app.kubernetes.io/instance'], 'rondo', idOf(object));
      assert.equal(labels['app.kubernetes.io/managed-by'], 'Helm', idOf(object));
      assert.equal(labels.team, 'serving', idOf(object));
      for (const value of Object.values(labels))
        assert.match(value, /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, idOf(object));
    }
  });

  test('a Service leads to one kind of pod, by ports that it declares', () => {
    for (const service of objects.filter(({ kind }) => kind === 'Service')) {
      const led = objects.filter(
        (object) => podOf(object) && selects(service.spec.selector, podLabels(object)),
      );
      assert.equal(led.length, 1, idOf(service));
      const declared = podOf(led[0]!)!.containers[0]!.ports!.map(({ name }) => name);
      for (const { targetPort } of service.spec.ports)
        assert.ok(declared.includes(targetPort), idOf(service));
    }
  });

  test('a worker is known by a name that its headless Service makes and its certificate covers', () => {
    const { spec: certificate } = objects.find(({ kind }) => kind === 'Certificate')!;
    for (const pool of objects.filter(({ kind }) => kind === 'StatefulSet')) {
      const service = objects.find(
        (object) => object.kind === 'Service' && object.metadata.name === pool.spec.serviceName,
      );
      assert.equal(service?.spec.clusterIP, 'None');
      assert.equal(service?.spec.publishNotReadyAddresses, true);
      const advertised = argument(podOf(pool)!.containers[0]!.args, 'advertise')!
        .replace('$(POD_NAME)', `${pool.metadata.name}-0`)
        .replace('$(POD_NAMESPACE)', 'prod');
      assert.equal(advertised, `${pool.metadata.name}-0.${pool.spec.serviceName}.prod.svc:7600`);
      const [, domain] = /^[^.]+\.(.*):7600$/.exec(advertised)!;
      assert.ok(certificate.dnsNames.includes(`*.${domain}`), domain);
    }
    assert.deepEqual(certificate.usages, ['server auth', 'client auth']);
  });

  test('every model that coordinators offer is mounted where they look, and so are the workers’', () => {
    for (const object of objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))) {
      const { args, volumeMounts } = podOf(object)!.containers[0]!;
      const models = args.flatMap((arg) => /^--model=(?:[a-z]+=)?(\/.*)$/.exec(arg)?.[1] ?? []);
      assert.ok(models.length > 0);
      for (const path of models)
        assert.ok(
          volumeMounts!.some(({ mountPath }) => mountPath === path),
          path,
        );
    }
  });

  test('a bundle from afar is fetched by its digest into the volume that is served', () => {
    for (const object of objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))) {
      const pod = podOf(object)!;
      for (const { args, volumeMounts } of pod.initContainers ?? []) {
        assert.equal(args[0], 'fetch');
        assert.match(argument(args, 'digest')!, /^[0-9a-f]{64}$/);
        // A coordinator reads no weights.
        assert.equal(args.includes('--text'), object.kind === 'Deployment');
        const [{ name, mountPath }] = volumeMounts as [NonNullable<typeof volumeMounts>[0]];
        assert.equal(argument(args, 'out'), mountPath);
        assert.ok(
          pod.containers[0]!.volumeMounts!.some((mount) => mount.name === name && mount.readOnly === true),
        );
      }
    }
  });

  for (const [secret, bundle, key] of [
    ['authorization', 'looped', 'authorization'],
    ['presigned', 'stored', 'urls'],
  ] as const) {
    test(`the ${secret} Secret of a bundle is seen by the container that fetches it, and by no other`, () => {
      for (const object of objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))) {
        const { initContainers = [], containers, volumes = [] } = podOf(object)!;
        const volume = `${secret}-${bundle}`;
        const fetching = initContainers.filter(({ name }) => name === `fetch-${bundle}`);
        assert.equal(
          volumes.some(({ name }) => name === volume),
          fetching.length === 1,
          object.metadata.name,
        );
        const seeing = [...initContainers, ...containers].filter(({ volumeMounts }) =>
          volumeMounts!.some(({ name }) => name === volume),
        );
        assert.deepEqual(seeing, fetching);
        for (const { args, volumeMounts } of fetching) {
          const { mountPath } = volumeMounts!.find(({ name }) => name === volume)!;
          assert.equal(argument(args, `${secret}-file`), `${mountPath}/${key}`);
        }
      }
    });
  }

  test('where a Service of NATS leads is where its own chart puts it, by the release’s name', async () => {
    for (const [release, url] of [
      ['rondo', 'nats://rondo-nats:4222'],
      ['my-nats', 'nats://my-nats:4222'],
    ] as const) {
      const drawn = await chart.render(LEAST, release);
      const { args } = podOf(drawn.find(({ kind }) => kind === 'Deployment')!)!.containers[0]!;
      assert.equal(argument(args, 'nats'), url);
    }
  });

  test('helm test asks the pool’s model at the Service, and the pool’s workers for their passes', () => {
    const tests = objects.filter(({ kind }) => kind === 'Pod');
    assert.deepEqual(
      tests.map(({ metadata, spec }) => [metadata.annotations!['helm.sh/hook'], ...spec.containers[0].args]),
      EVERYTHING.pools.map(({ name, bundle }) => [
        ...['test', 'check', '--url=https://rondo.prod.svc:80', `--model=${bundle}`],
        `--workers=rondo-${name}:9090`,
      ]),
    );
  });

  test('helm test holds the API’s certificate to the authorities of its Secret', () => {
    for (const pod of objects.filter(({ kind }) => kind === 'Pod')) {
      const { containers, volumes } = podOf(pod)!;
      const { env, volumeMounts } = containers[0]!;
      const mount = volumeMounts!.find(({ name }) => name === 'https-ca')!;
      assert.equal(
        env!.find(({ name }) => name === 'NODE_EXTRA_CA_CERTS')?.value,
        `${mount.mountPath}/ca.crt`,
      );
      assert.deepEqual(volumes, [{ name: mount.name, secret: { secretName: EVERYTHING.tests.caSecret } }]);
    }
  });

  test('a bundle is fetched over a network with the variables and volumes of who serves it, out of an image with none', async () => {
    const more = (name: string) => ({
      extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: `/${name}/ca.crt` }],
      extraVolumes: [{ name, secret: { secretName: name } }],
      extraVolumeMounts: [{ name, mountPath: `/${name}`, readOnly: true }],
    });
    const drawn = await chart.render({
      ...EVERYTHING,
      coordinator: more('of-coordinators'),
      worker: more('of-all'),
      pools: [
        { name: 'apart', bundle: 'looped', ...more('of-one') },
        { name: 'alike', bundle: 'stored' },
        { name: 'image', bundle: 'small' },
      ],
    });
    const given = drawn.flatMap((object) =>
      (object.kind === 'Pod' ? [] : (podOf(object)?.initContainers ?? [])).map(
        ({ name, env, volumeMounts }) => [
          `${object.metadata.name} ${name}`,
          env?.map(({ value }) => value),
          volumeMounts!.map((mount) => mount.name).filter((mount) => mount.startsWith('of-')),
        ],
      ),
    );
    assert.deepEqual(given, [
      ['rondo fetch-looped', ['/of-coordinators/ca.crt'], ['of-coordinators']],
      ['rondo fetch-stored', ['/of-coordinators/ca.crt'], ['of-coordinators']],
      ['rondo fetch-small', undefined, []],
      ['rondo-apart fetch-looped', ['/of-one/ca.crt'], ['of-one']],
      ['rondo-alike fetch-stored', ['/of-all/ca.crt'], ['of-all']],
      ['rondo-image fetch-small', undefined, []],
    ]);
  });

  test('examples name what they install rondo', async () => {
    for (const { name, file } of EXAMPLES) {
      const [workload] = (await chart.render(file)).filter(({ kind }) => kind === 'Deployment');
      assert.equal(workload?.metadata.name, 'rondo', name);
    }
  });
});
