import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';
import { Scrape } from '@rondo/lab';
import { BadWorker, type Misdeed } from './bad-worker.ts';
import { assertSame, busiest, recoveries, stream, untilHealthy } from './disturbed-streams.ts';
import { ROW_LIES, TOKEN_LIES } from './lies.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';
import type { ToldStream } from './told-stream.ts';

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(3);
});
after(() => bundle[Symbol.asyncDispose]());

type Placement = 'homed' | 'staged';

/** Workers that can all misbehave, and a coordinator, as processes; and what they say while none does. */
class BadCluster implements AsyncDisposable {
  readonly workers: readonly BadWorker[];
  readonly undisturbed: readonly ToldStream[];
  readonly url: string;
  readonly #coordinator: RondoProcess;

  private constructor(
    workers: readonly BadWorker[],
    coordinator: RondoProcess,
    undisturbed: readonly ToldStream[],
  ) {
    this.workers = workers;
    this.#coordinator = coordinator;
    this.url = coordinator.ready;
    this.undisturbed = undisturbed;
  }

  static async start(placement: Placement, count: number, hangMs?: number): Promise<BadCluster> {
    const start = () => BadWorker.start(bundle.directory, hangMs);
    const workers = await Promise.all(Array.from({ length: count }, start));
    const coordinator = await RondoProcess.start(
      ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--placement', placement],
      ...workers.flatMap(({ ready }) => ['--worker', ready]),
    );
    return new BadCluster(workers, coordinator, await stream(coordinator.ready));
  }

  /** Streams all requests while the busiest worker begins to misbehave; none may notice. Returns that worker. */
  async survives(misdeed: Misdeed): Promise<BadWorker> {
    let bad: BadWorker | undefined;
    const strike = async () => {
      bad = await busiest(this.url, this.workers, ({ ready }) => ready);
      await bad.misbehave(misdeed);
    };
    assertSame(await stream(this.url, strike), this.undisturbed);
    return bad!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#coordinator.stop();
    await Promise.all(this.workers.map((worker) => worker[Symbol.asyncDispose]()));
  }
}

for (const placement of ['homed', 'staged'] as const) {
  test(`${placement}: an engine that fails in a run or ends costs no token of any stream`, {
    timeout: 170_000,
  }, async () => {
    await using cluster = await BadCluster.start(placement, 3);
    const { url } = cluster;
    await cluster.survives('throw');
    const engine = await recoveries(url, 'engine');
    assert.ok(engine > 0, 'no sequence was in that run');
    const ended = await cluster.survives('end');
    await ended.exited();
    assert.ok((await recoveries(url)) > engine);
    assert.equal(await recoveries(url, 'stuck'), 0);
  });

  test(`${placement}: an engine that hangs in a run costs no token of any stream, and is left alone`, {
    timeout: 170_000,
  }, async () => {
    await using cluster = await BadCluster.start(placement, 3);
    await cluster.survives('hang');
    assert.ok((await recoveries(cluster.url, 'stuck')) > 0, 'nothing ran on the worker that hangs');
    // Its process still answers.
    await untilHealthy(cluster.url, 2);
  });
}

test('a worker whose engine hangs ends by itself although a thread of it cannot, and costs no token', {
  timeout: 120_000,
}, async () => {
  await using cluster = await BadCluster.start('homed', 2, 2000);
  const hung = await cluster.survives('hang');
  assert.equal(await hung.exited(), 'SIGKILL');
  assert.ok((await recoveries(cluster.url)) > 0, 'nothing ran on the worker that hangs');
});

test('a worker whose engine hangs says so in its log, and its supervisor sees it fail', {
  timeout: 120_000,
}, async () => {
  const slow = ['--engine', 'timed', '--timed-pass-ms', '3600000', '--hang-seconds', '1'];
  await using worker = await RondoProcess.start(
    ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--kv-mb', '64', ...slow],
  );
  await using coordinator = await RondoProcess.start(
    ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--worker', worker.ready],
  );
  const request = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const body = JSON.stringify({ model: 'tiny', prompt: [5, 6, 7], max_tokens: 1 });
  const leave = new AbortController();
  const answer = fetch(new URL('/v1/completions', coordinator.ready), {
    ...request,
    body,
    signal: leave.signal,
  });
  assert.equal(await worker.exited(), 'SIGKILL');
  assert.match(worker.errors, /"level":"fatal".*a run of the engine has not ended for [1-9]/);
  leave.abort();
  await assert.rejects(answer, { name: 'AbortError' });
});

test('homed: a worker that says what it must not costs no token of any stream', {
  timeout: 120_000,
}, async () => {
  await using cluster = await BadCluster.start('homed', 2);
  let before = 0;
  for (const lie of TOKEN_LIES) {
    const liar = await cluster.survives(lie);
    const after = (await Scrape.of(cluster.url)).sum('rondo_contradictions_total');
    assert.ok(after > before, `nobody noticed: ${lie}`);
    before = after;
    await liar.misbehave('nothing');
  }
});

test('staged: a worker that sends on wrong rows costs no token of any stream', {
  timeout: 170_000,
}, async () => {
  await using cluster = await BadCluster.start('staged', 3);
  let before = 0;
  for (const lie of ROW_LIES) {
    const liar = await cluster.survives(lie);
    const after = await recoveries(cluster.url);
    assert.ok(after > before, `nobody noticed: ${lie}`);
    before = after;
    await liar.misbehave('nothing');
  }
});

test('staged: a stranger that sends garbage for passes disturbs nobody', { timeout: 120_000 }, async () => {
  await using cluster = await BadCluster.start('staged', 2);
  const garbage = () => Promise.all(cluster.workers.map(({ ready }) => sendGarbage(ready)));
  assertSame(await stream(cluster.url, garbage), cluster.undisturbed);
  assert.equal(await recoveries(cluster.url), 0);
});

/** A stream of passes whose messages are framed as gRPC does and mean nothing, until the worker ends it. */
async function sendGarbage(to: string): Promise<void> {
  const session = connect(`http://${to}`);
  const call = session.request({
    ':method': 'POST',
    ':path': '/rondo.v1.WorkerService/Passes',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  call.on('error', () => {});
  for (const length of [64, 4096]) {
    const header = Buffer.alloc(5);
    header.writeUInt32BE(length, 1);
    call.write(Buffer.concat([header, randomBytes(length)]));
  }
  call.resume();
  await once(call, 'end');
  session.destroy();
}
