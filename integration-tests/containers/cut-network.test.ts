import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TinyBundle } from '../tiny-bundle.ts';
import { CONTAINERS_MISSING, ContainerCluster } from './container-cluster.ts';

interface Health {
  readonly workers: readonly { readonly address: string; readonly status: string }[];
  readonly roster: { readonly announced: number };
}

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(2);
});
after(() => bundle[Symbol.asyncDispose]());

/** Asks for the health of a coordinator until `condition` holds; the test's own limit bounds it. */
async function healthy(url: string, condition: (health: Health) => boolean): Promise<void> {
  while (!condition((await (await fetch(`${url}/health`)).json()) as Health)) await delay(50);
}

const serving = (names: readonly string[]) => (health: Health) =>
  health.workers
    .flatMap(({ address, status }) => (status === 'ok' ? [address] : []))
    .sort()
    .join() === names.map((name) => `${name}:7600`).join();

async function assertAnswers(url: string): Promise<void> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: [5, 6, 7], max_tokens: 4, ignore_eos: true }),
  });
  assert.equal(response.status, 200, await response.text());
}

describe('a cluster of containers', { skip: CONTAINERS_MISSING }, () => {
  test('a worker cut off from the network is left alone, and found again once it is back', async () => {
    await using cluster = await ContainerCluster.start(bundle.directory);
    const [url, , second] = await Promise.all([
      cluster.startCoordinator('coordinator'),
      cluster.startWorker('worker-1', 2),
      cluster.startWorker('worker-2', 2),
    ]);
    await healthy(url, serving(['worker-1', 'worker-2']));
    await cluster.cut(second);
    await healthy(url, serving(['worker-1']));
    await Promise.all([1, 2, 3, 4].map(() => assertAnswers(url)));
    // Its announcement ends in the middle of the absence; the worker itself never stopped.
    await healthy(url, ({ roster }) => roster.announced === 1);
    await cluster.mend(second, 'worker-2');
    await healthy(url, serving(['worker-1', 'worker-2']));
    await Promise.all([1, 2, 3, 4].map(() => assertAnswers(url)));
  });
});
