import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './cluster.ts';
import {
  assertSame,
  busiest,
  promptOf,
  REQUESTS,
  recoveries,
  stream,
  untilHealthy,
} from './disturbed-streams.ts';
import { RondoProcess } from './rondo-process.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { ToldStream } from './told-stream.ts';

const LOOPS = 3;
let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(LOOPS);
});
after(() => bundle[Symbol.asyncDispose]());

const startWorker = (listen = '127.0.0.1:0') =>
  RondoProcess.start(
    ...['worker', '--model', bundle.directory, '--listen', listen, '--threads', '1', '--kv-mb', '64'],
  );

const startCoordinator = (...workers: string[]) =>
  RondoProcess.start(
    ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0'],
    ...workers.flatMap((address) => ['--worker', address]),
  );

for (const placement of ['homed', 'staged'] as const) {
  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    test(`${placement}: a worker that gets ${signal} costs no token of any stream`, {
      timeout: 120_000,
    }, async () => {
      await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 3, placement });
      const undisturbed = await stream(cluster.url);
      assert.equal(await recoveries(cluster.url), 0);
      let victim: RondoProcess | undefined;
      const strike = async () => {
        victim = await busiest(cluster.url, cluster.workers, ({ ready }) => ready);
        victim.kill(signal);
      };
      try {
        assertSame(await stream(cluster.url, strike), undisturbed);
      } finally {
        victim?.kill('SIGCONT');
      }
      assert.ok((await recoveries(cluster.url)) > 0, 'nothing ran on that worker');
    });
  }
}

for (const kvPolicy of ['last-exited', 'propagate', 'catch-up'] as const) {
  test(`rows that left early under ${kvPolicy} outlive a worker that is killed`, {
    timeout: 120_000,
  }, async () => {
    const placement = kvPolicy === 'last-exited' ? 'homed' : 'staged';
    await using exiting = await TinyBundle.make(LOOPS, kvPolicy);
    await using cluster = await Cluster.start({ bundle: exiting.directory, workers: 3, placement });
    const asked = { prompt: promptOf(40, 6), max_tokens: 400, logprobs: 1 };
    const exits = [
      { ...asked, temperature: 0, exit_depths: [1, 3, 2, 2, 1] },
      { ...asked, temperature: 0.8, seed: 3, exit_policy: 'latent-diff', exit_threshold: 0.4 },
      { ...asked, temperature: 0, max_depth: 2 },
    ];
    const undisturbed = await stream(cluster.url, () => {}, exits);
    const strike = async () =>
      (await busiest(cluster.url, cluster.workers, ({ ready }) => ready)).kill('SIGKILL');
    assertSame(await stream(cluster.url, strike, exits), undisturbed);
    assert.ok((await recoveries(cluster.url)) > 0, 'nothing ran on that worker');
  });
}

test('a worker that is told to leave hands its streams over, and leaves well', {
  timeout: 120_000,
}, async () => {
  await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement: 'homed' });
  const undisturbed = await stream(cluster.url);
  let left: Promise<number | null> | undefined;
  const leave = async () => {
    left = (await busiest(cluster.url, cluster.workers, ({ ready }) => ready)).stop();
  };
  assertSame(await stream(cluster.url, leave), undisturbed);
  assert.equal(await left, 0);
  const text = await (await fetch(`${cluster.url}/metrics`)).text();
  assert.match(text, /rondo_recoveries_total\{cause="drain",model="tiny"\} [1-9]/);
  assert.doesNotMatch(text, /rondo_recoveries_total\{cause="(?!drain)[^}]*\} [1-9]/);
});

test('a network that is reset, garbled or cut costs no token of any stream', {
  timeout: 120_000,
}, async () => {
  await using first = await startWorker();
  await using second = await startWorker();
  await using oneWay = await TcpProxy.to(first.ready);
  await using otherWay = await TcpProxy.to(second.ready);
  const proxies = [oneWay, otherWay];
  await using coordinator = await startCoordinator(...proxies.map(({ address }) => address));
  const url = coordinator.ready;
  const undisturbed = await stream(url);
  let before = 0;
  for (const fault of ['reset', 'garble', 'cut'] as const) {
    let proxy: TcpProxy | undefined;
    const strike = async () => {
      proxy = await busiest(url, proxies, ({ address }) => address);
      proxy[fault]();
    };
    assertSame(await stream(url, strike), undisturbed);
    const after = await recoveries(url);
    assert.ok(after > before, `${fault}: nothing ran behind that network`);
    before = after;
    proxy?.heal();
    await untilHealthy(url, 2);
  }
});

test('the only worker, killed and started anew at its address, is found, and every stream goes on', {
  timeout: 120_000,
}, async () => {
  await using first = await startWorker();
  await using coordinator = await startCoordinator(first.ready);
  const url = coordinator.ready;
  const undisturbed = await stream(url);
  let second: RondoProcess | undefined;
  const restart = async () => {
    first.kill('SIGKILL');
    await first.stop();
    second = await startWorker(first.ready);
  };
  try {
    assertSame(await stream(url, restart), undisturbed);
    assert.ok((await recoveries(url)) > 0, 'all streams had ended before');
  } finally {
    await second?.stop();
  }
});

test('without any worker a request waits for a while and is then told to come back', {
  timeout: 120_000,
}, async () => {
  await using worker = await startWorker();
  await using coordinator = await startCoordinator(worker.ready);
  const url = coordinator.ready;
  const running = new ToldStream(url, REQUESTS[0]!);
  await running.told(5);
  worker.kill('SIGKILL');
  const refused = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: 'The', max_tokens: 4 }),
  });
  assert.equal(refused.status, 503, await refused.clone().text());
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  await assert.rejects(running.ended, 'the transfer is cut');
  assert.match(JSON.stringify(running.error), /no worker answers/);
});
