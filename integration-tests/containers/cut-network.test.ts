import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Scrape } from '@rondo/lab';
import { promptOf } from '../disturbed-streams.ts';
import { TinyBundle } from '../tiny-bundle.ts';
import { ToldStream } from '../told-stream.ts';
import { CONTAINERS_MISSING, ContainerCluster } from './container-cluster.ts';

interface Health {
  readonly workers: readonly { readonly address: string; readonly status: string }[];
  readonly roster: { readonly announced: number };
}

/** So many that an answer takes longer than a cable to be cut. */
const LOOPS = 24;
const TIMED = ['--engine', 'timed', '--timed-pass-ms', '1'];

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(LOOPS);
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

/** Two sequences at least, so that `--placement homed` gives each of two workers one. */
const REQUESTS = [
  { prompt: promptOf(70, 1), max_tokens: 400, temperature: 0 },
  { prompt: promptOf(9, 2), max_tokens: 400, temperature: 0.9, seed: 7, n: 2 },
];

/** Streams all requests at once; `disturb` is called once every one of them has told some tokens. */
async function stream(url: string, disturb: () => unknown = () => {}) {
  const streams = REQUESTS.map((request) => new ToldStream(url, request));
  await Promise.all(streams.map((each) => each.told(20)));
  await disturb();
  await Promise.all(streams.map(({ ended }) => ended));
  return streams.map(({ choices }) => choices.map(({ ids, text, finish }) => ({ ids, text, finish })));
}

const recoveries = async (url: string): Promise<number> =>
  (await Scrape.of(url)).sum('rondo_recoveries_total');

describe('a cluster of containers', { skip: CONTAINERS_MISSING }, () => {
  test('a worker cut off from the network is left alone, and found again once it is back', async () => {
    await using cluster = await ContainerCluster.start(bundle.directory);
    const [url, , second] = await Promise.all([
      cluster.startCoordinator('coordinator'),
      cluster.startWorker('worker-1', ...TIMED),
      cluster.startWorker('worker-2', ...TIMED),
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

  test('a worker cut off in the middle of streams costs them no token, and serves again once it is back', async () => {
    await using cluster = await ContainerCluster.start(bundle.directory);
    const [url, first, second] = await Promise.all([
      cluster.startCoordinator('coordinator', '--placement', 'homed'),
      cluster.startWorker('worker-1'),
      cluster.startWorker('worker-2'),
    ]);
    await healthy(url, serving(['worker-1', 'worker-2']));
    const undisturbed = await stream(url);
    assert.deepEqual(
      undisturbed.flat().map(({ ids, finish }) => [ids.length, finish]),
      [1, 2, 3].map(() => [400, 'length']),
    );
    assert.equal(await recoveries(url), 0);

    assert.deepEqual(await stream(url, () => cluster.cut(second)), undisturbed);
    const recovered = await recoveries(url);
    assert.ok(recovered > 0, 'nothing ran on that worker');

    await cluster.mend(second, 'worker-2');
    await healthy(url, serving(['worker-1', 'worker-2']));
    // Now it is the one that takes over, and then the only one there is.
    assert.deepEqual(await stream(url, () => cluster.cut(first)), undisturbed);
    assert.ok((await recoveries(url)) > recovered, 'nothing ran on the other worker');
    await healthy(url, serving(['worker-2']));
    assert.deepEqual(await stream(url), undisturbed);
  });
});
