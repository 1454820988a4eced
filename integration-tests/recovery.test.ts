import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Scrape } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { RondoProcess } from './rondo-process.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { ToldStream } from './told-stream.ts';

const LOOPS = 3;
/** Log probabilities with and without a fault may differ by this much, in nats. */
const TOLERANCE = 1e-4;

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(LOOPS);
});
after(() => bundle[Symbol.asyncDispose]());

const promptOf = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, index) => 3 + ((index * 7919 + seed * 104729) % 300));

/** Every way of asking that recovery must not change. */
const REQUESTS = [
  { prompt: promptOf(90, 1), max_tokens: 300, temperature: 0, logprobs: 2 },
  { prompt: promptOf(7, 2), max_tokens: 300, temperature: 0.9, seed: 7, n: 2, logprobs: 0 },
  {
    prompt: promptOf(40, 3),
    max_tokens: 300,
    temperature: 1,
    seed: 11,
    frequency_penalty: 0.7,
    presence_penalty: 0.4,
    repetition_penalty: 1.2,
    logprobs: 1,
  },
  { prompt: promptOf(20, 4), max_tokens: 300, temperature: 0, exit_depths: [1, 3, 2, 2, 1], logprobs: 0 },
  { prompt: promptOf(60, 5), max_tokens: 300, temperature: 0, echo: true, logprobs: 1 },
];

/** Streams all requests at once; `disturb` is called once every one of them has told some tokens. */
async function stream(url: string, disturb: () => unknown = () => {}): Promise<ToldStream[]> {
  const streams = REQUESTS.map((request) => new ToldStream(url, request));
  await Promise.all(streams.map((each) => each.told(20)));
  await disturb();
  await Promise.all(streams.map(({ ended }) => ended));
  return streams;
}

function assertSame(found: readonly ToldStream[], expected: readonly ToldStream[]): void {
  expected.forEach(({ choices }, request) => {
    assert.equal(found[request]!.choices.length, choices.length);
    choices.forEach((choice, index) => {
      const told = found[request]!.choices[index]!;
      const which = `request ${request}, choice ${index}`;
      assert.deepEqual(told.ids, choice.ids, which);
      assert.equal(told.text, choice.text, which);
      assert.equal(told.finish, choice.finish, which);
      assert.equal(told.logprobs.length, choice.logprobs.length, which);
      choice.logprobs.forEach((logprob, at) => {
        const difference = logprob === null ? 0 : Math.abs(told.logprobs[at]! - logprob);
        assert.ok(difference < TOLERANCE, `${which}, token ${at}: differs by ${difference}`);
      });
    });
  });
}

/** Sequences that went on to another worker so far. */
const recoveries = async (url: string): Promise<number> =>
  (await Scrape.of(url)).sum('rondo_recoveries_total');

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
  assert.doesNotMatch(text, /rondo_recoveries_total\{cause="(?!drain)/);
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

/** Which of `candidates` leads to the worker with the most sequences: where they are placed is the planner's affair. */
async function busiest<T>(
  url: string,
  candidates: readonly T[],
  addressOf: (candidate: T) => string,
): Promise<T> {
  const { workers } = (await (await fetch(`${url}/health`)).json()) as {
    workers: { address: string; load: { sequences: number } }[];
  };
  const [{ address }] = workers.toSorted((a, b) => b.load.sequences - a.load.sequences) as [
    (typeof workers)[number],
  ];
  return candidates.find((candidate) => addressOf(candidate) === address)!;
}

/** Asks until so many workers are well; the test's own time limit bounds it. */
async function untilHealthy(url: string, count: number): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/health`);
    const { workers } = (await response.json()) as { workers: { status: string }[] };
    if (workers.filter(({ status }) => status === 'ok').length === count) return;
  }
}
