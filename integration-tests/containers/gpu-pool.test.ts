import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { EXAMPLES, HELM_MISSING } from '../chart/helm.ts';
import { RondoProcess } from '../rondo-process.ts';
import { SOFTWARE_GPU, SOFTWARE_GPU_MISSING } from '../software-gpu.ts';
import { TinyBundle } from '../tiny-bundle.ts';
import { ToldStream } from '../told-stream.ts';
import { ChartCluster } from './chart-cluster.ts';
import { CONTAINERS_MISSING } from './container-cluster.ts';
import { IMAGES_MISSING } from './images.ts';
import type { RunningPod } from './kubelet.ts';

const REQUEST = { prompt: [5, 6, 7, 8], max_tokens: 24, temperature: 0 };

/** What a device's driver would bring into the container: here the one in software. */
const DRIVER = dirname(SOFTWARE_GPU);
const DEVICE = {
  extraEnv: [{ name: 'VK_ICD_FILENAMES', value: SOFTWARE_GPU }],
  extraVolumes: [{ name: 'driver', hostPath: { path: DRIVER } }],
  extraVolumeMounts: [{ name: 'driver', mountPath: DRIVER, readOnly: true }],
};

/** The pool of the example with one GPU, small enough for this machine, and no more of the example. */
async function valuesOf(device: object): Promise<object> {
  const { file } = EXAMPLES.find(({ name }) => name === 'one-gpu-node')!;
  const { pools } = parse(await readFile(file, 'utf8')) as { pools: [object] };
  const pool = {
    ...pools[0],
    bundle: 'tiny',
    resources: { cpu: '1', memory: '2Gi', gpus: 1 },
    kvMb: 16,
    ...device,
  };
  return {
    images: { tag: 'dev' },
    bundles: [{ name: 'tiny', pvc: { claim: 'bundles' } }],
    coordinator: { service: { port: 8080 } },
    pools: [pool],
  };
}

const idsOf = async (url: string) => {
  const stream = new ToldStream(url, REQUEST);
  await stream.ended;
  return stream.choices[0]!.ids;
};

describe('the pool of the example with one GPU, from its image', {
  skip: CONTAINERS_MISSING || IMAGES_MISSING || HELM_MISSING || SOFTWARE_GPU_MISSING,
}, () => {
  let bundle: TinyBundle;
  before(async () => {
    bundle = await TinyBundle.make(2);
  });
  after(() => bundle[Symbol.asyncDispose]());

  test('is ready after a pass on the device, and answers as a worker on the CPU', async () => {
    await using cluster = await ChartCluster.start(bundle.directory, await valuesOf(DEVICE));
    const coordinator = await cluster.startCoordinator(0);
    await coordinator.passes('startupProbe');
    const worker = await cluster.startWorker(0);
    await worker.passes('startupProbe');
    assert.equal(await worker.probes('livenessProbe'), true);
    await coordinator.passes('readinessProbe', 30);
    const { workers } = JSON.parse(await coordinator.tells('/readyz')) as { workers: { provider: string }[] };
    assert.deepEqual(
      workers.map(({ provider }) => provider),
      ['webgpu'],
    );
    await using pod: RunningPod = await cluster.startTest();
    assert.equal(await pod.ended(), 0, await pod.log());

    await using alone = await RondoProcess.start(
      ...[
        'worker',
        '--model',
        bundle.directory,
        '--listen',
        '127.0.0.1:0',
        '--threads',
        '1',
        '--kv-mb',
        '16',
      ],
    );
    await using beside = await RondoProcess.start(
      ...['coordinator', '--model', bundle.directory, '--worker', alone.ready, '--listen', '127.0.0.1:0'],
    );
    assert.deepEqual(await idsOf(await cluster.url(0)), await idsOf(beside.ready));
  });

  test('ends with what to do where the node has no device', async () => {
    await using cluster = await ChartCluster.start(bundle.directory, await valuesOf({}));
    const worker = await cluster.startWorker(0);
    assert.equal(await worker.ended(), 1, await worker.log());
    assert.match(await worker.log(), /provider webgpu: no GPU that Vulkan or Metal can reach/);
  });
});
