import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Scrape } from '@rondo/lab';
import { HELM_MISSING } from '../chart/helm.ts';
import { TinyBundle } from '../tiny-bundle.ts';
import { ToldStream } from '../told-stream.ts';
import { ChartCluster } from './chart-cluster.ts';
import { CONTAINERS_MISSING } from './container-cluster.ts';
import { IMAGES_MISSING } from './images.ts';
import type { RunningPod } from './kubelet.ts';

/** So much for a stream to do that it runs on a worker that is replaced now and then. */
const LOOPS = 4;
const TOKENS = 200;
const REQUESTS = [
  { prompt: [5, 6, 7, 8], max_tokens: TOKENS, temperature: 0 },
  { prompt: [9, 10, 11], max_tokens: TOKENS, temperature: 0.9, seed: 7 },
];

async function told(url: string, request: object) {
  const stream = new ToldStream(url, request);
  await stream.ended;
  return stream.choices.map(({ ids, text, finish }) => ({ ids, text, finish }));
}

interface Health {
  readonly workers: readonly { readonly address: string; readonly status: string }[];
}

/** Until a coordinator says that it has so many workers that serve; the test's own limit bounds it. */
async function sees(coordinator: RunningPod, workers: number): Promise<void> {
  for (;;) {
    const { workers: known } = JSON.parse(await coordinator.tells('/readyz')) as Health;
    if (known?.filter(({ status }) => status === 'ok').length === workers) return;
    await delay(100);
  }
}

describe('the cluster of the chart, from images', {
  skip: CONTAINERS_MISSING || IMAGES_MISSING || HELM_MISSING,
}, () => {
  let bundle: TinyBundle;
  let cluster: ChartCluster;
  before(async () => {
    bundle = await TinyBundle.make(LOOPS);
    cluster = await ChartCluster.start(bundle.directory);
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await bundle?.[Symbol.asyncDispose]();
  });

  test('coordinators start without workers, live, and are not ready before there is one', async () => {
    const coordinators = await Promise.all([cluster.startCoordinator(0), cluster.startCoordinator(1)]);
    for (const coordinator of coordinators) {
      await coordinator.passes('startupProbe');
      assert.equal(await coordinator.probes('livenessProbe'), true);
      assert.equal(await coordinator.probes('readinessProbe'), false);
    }
  });

  test('workers pass their probes, and with them the coordinators do', async () => {
    const workers = await Promise.all([0, 1, 2].map((index) => cluster.startWorker(index)));
    await Promise.all(workers.map((worker) => worker.passes('startupProbe')));
    for (const worker of workers) {
      assert.equal(await worker.probes('livenessProbe'), true);
      assert.equal(await worker.probes('readinessProbe'), true);
    }
    await Promise.all(cluster.coordinators.map((coordinator) => sees(coordinator, 3)));
    for (const coordinator of cluster.coordinators)
      assert.equal(await coordinator.probes('readinessProbe'), true);
  });

  test('nothing but /tmp can be written, by a user who is nobody', async () => {
    const script = `
      const { writeFileSync } = require('node:fs');
      const tried = ['/x', '/rondo/x', '/bundles/tiny/x', '/etc/x', '/tmp/x'].map((path) => {
        try { writeFileSync(path, ''); return 'written'; } catch ({ code }) { return code; }
      });
      console.log(JSON.stringify([process.getuid(), process.getgid(), ...tried]))`;
    for (const pod of [...cluster.coordinators, ...cluster.workers]) {
      assert.deepEqual(
        JSON.parse(await pod.run(script)),
        [65532, 65532, 'EROFS', 'EROFS', 'EROFS', 'EROFS', 'written'],
        pod.name,
      );
    }
  });

  test('the pod of helm test ends well: an answer is right, and every worker of the pool has run passes', async () => {
    await using pod = await cluster.startTest();
    assert.equal(await pod.ended(), 0, await pod.log());
    assert.match(await pod.log(), /^ok: 3 workers of rondo-cpu:9090 ran passes for \d+ completions$/m);
  });

  test('who has no arrow to NATS does not find it, who has one does', async () => {
    const finds = (name: string) =>
      `require('node:dns').lookup('${name}', (error, address) => console.log(error?.code ?? 'found'))`;
    const [worker] = cluster.workers as [RunningPod];
    const [coordinator] = cluster.coordinators as [RunningPod];
    const found = [worker.run(finds('rondo-nats')), coordinator.run(finds('rondo-nats'))];
    assert.deepEqual(await Promise.all([...found, coordinator.run(finds('rondo-cpu'))]), [
      'found',
      'found',
      'found',
    ]);
    // Names outside of the cluster stand for all that is there.
    const hidden = await Promise.all([worker.run(finds('rondo')), coordinator.run(finds('example.com'))]);
    for (const code of hidden) assert.match(code, /^E/);
  });

  test('every worker is replaced under streaming load, and no stream loses a token', async () => {
    const urls = await Promise.all([cluster.url(0), cluster.url(1)]);
    const undisturbed = await Promise.all(REQUESTS.map((request) => told(urls[0]!, request)));
    assert.deepEqual(
      undisturbed.map(([choice]) => [choice!.ids.length, choice!.finish]),
      [
        [TOKENS, 'length'],
        [TOKENS, 'length'],
      ],
    );

    let rolling = true;
    let streams = 0;
    const client = async (url: string, at: number): Promise<void> => {
      while (rolling) {
        assert.deepEqual(await told(url, REQUESTS[at]!), undisturbed[at]);
        streams++;
      }
    };
    const rollout = async (): Promise<void> => {
      // As a StatefulSet does: from the last to the first, each only once the next one is ready.
      for (const index of [2, 1, 0]) {
        const old = cluster.workers[index]!;
        assert.equal(await old.terminate(), 0, await old.log());
        await (await cluster.startWorker(index)).passes('startupProbe');
        await Promise.all(cluster.coordinators.map((coordinator) => sees(coordinator, 3)));
      }
    };
    const moved = async (): Promise<number> => {
      const pages = await Promise.all(cluster.coordinators.map((each) => each.tells('/metrics')));
      const counts = pages.map((page) => Scrape.parse(page).sum('rondo_recoveries_total', 'cause="drain"'));
      return counts.reduce((sum, count) => sum + count);
    };
    const rollouts = async (): Promise<void> => {
      // Again should every stream have been between two requests or elsewhere, whenever a worker left.
      do await rollout();
      while ((await moved()) === 0);
    };
    const load = urls.flatMap((url) => REQUESTS.map((_, at) => client(url, at)));
    await Promise.all([
      ...load,
      rollouts().finally(() => {
        rolling = false;
      }),
    ]);
    assert.ok(streams >= 4);
  });

  test('a coordinator that is replaced ends its answer first, in the time that it has', async () => {
    const stream = new ToldStream(await cluster.url(1), {
      prompt: [5, 6, 7, 8],
      max_tokens: TOKENS,
      temperature: 0,
    });
    await stream.told(5);
    const old = cluster.coordinators[1]!;
    assert.equal(await old.terminate(), 0, await old.log());
    await stream.ended;
    assert.deepEqual(
      stream.choices.map(({ ids, finish }) => [ids.length, finish]),
      [[TOKENS, 'length']],
    );
    const next = await cluster.startCoordinator(1);
    await next.passes('startupProbe');
    await sees(next, 3);
  });
});
