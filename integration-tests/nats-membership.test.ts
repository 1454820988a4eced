import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openBundle } from '@rondo/bundle';
import { createLog } from '@rondo/chassis';
import { NatsRoster } from '@rondo/coordinator';
import { address, workerId } from '@rondo/core';
import { AnnouncementBoard, openNats, type WorkerAnnouncement } from '@rondo/wire';
import { Authority, IdentityFiles } from './certificates.ts';
import { NATS_MISSING, NatsServer, type NatsServerOptions } from './nats-server.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

let bundle: TinyBundle;
let other: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(2);
  other = await TinyBundle.make(3);
});
after(async () => {
  await bundle[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

const startWorker = (nats: string, ...options: string[]) =>
  RondoProcess.start(
    ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--nats', nats],
    ...['--engine', 'timed', '--timed-pass-ms', '10', '--kv-mb', '64'],
    ...options,
  );

const startCoordinator = (nats: string, ...options: string[]) =>
  RondoProcess.start(
    ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--nats', nats],
    ...options,
  );

interface Health {
  readonly status: string;
  readonly workers: readonly { readonly address: string; readonly status: string }[];
  readonly roster: {
    readonly nats: { readonly connected: boolean; readonly reason?: string };
    readonly announced: number;
    readonly mismatched: readonly { readonly address: string; readonly bundle: string }[];
  };
}

/** Asks for the health of `coordinator` until `condition` holds; the test's own limit bounds it. */
async function healthy(coordinator: RondoProcess, condition: (health: Health) => boolean): Promise<Health> {
  for (;;) {
    const health = (await (await fetch(`${coordinator.ready}/health`)).json()) as Health;
    if (condition(health)) return health;
    await delay(50);
  }
}

const serving =
  (count: number) =>
  ({ workers }: Health): boolean =>
    workers.filter(({ status }) => status === 'ok').length === count;

const generate = (coordinator: RondoProcess, tokens: number, stream = false): Promise<Response> =>
  fetch(`${coordinator.ready}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: [5, 6, 7], max_tokens: tokens, ignore_eos: true, stream }),
  });

async function assertAnswers(coordinator: RondoProcess): Promise<void> {
  const response = await generate(coordinator, 4);
  assert.equal(response.status, 200, await response.text());
}

/** A coordinator's view of the board, in this process, so that its changes can be awaited. */
async function openRoster(nats: string, graceMs?: number) {
  const link = await openNats({ servers: [nats], name: 'test' });
  const { digest } = await openBundle(bundle.directory);
  const roster = new NatsRoster({
    bundleDigests: [digest],
    board: new AnnouncementBoard(link),
    state: () => link.state,
    log: createLog('test', { level: 'silent' }),
    graceMs,
  });
  let heard = () => {};
  let now = '';
  roster.of(digest).subscribe((announced) => {
    now = announced.map((each) => `${each.address} ${each.state}`).join();
    heard();
  });
  return {
    async until(expected: string): Promise<void> {
      while (now !== expected) {
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
    },
    async [Symbol.asyncDispose]() {
      roster.close();
      await link.close();
    },
  };
}

const announcementOf = (id: string, where: string): WorkerAnnouncement => ({
  workerId: workerId(id),
  address: address(where),
  protocolRevision: 1,
  bundleDigest: 'unknown',
  bundleName: 'tiny',
  provider: 'cpu',
  load: {},
  state: 'serving',
});

const natsServer = (options?: NatsServerOptions) => NatsServer.start(options);

describe('membership over a real NATS server', { skip: NATS_MISSING }, () => {
  test('a worker joins, drains when told to stop, and says farewell', async () => {
    await using nats = await natsServer();
    await using roster = await openRoster(nats.url);
    await using worker = await startWorker(nats.url);
    await roster.until(`${worker.ready} serving`);
    const drained = roster.until(`${worker.ready} draining`);
    const gone = drained.then(() => roster.until(''));
    assert.equal(await worker.stop(), 0);
    await gone;
  });

  test('a killed worker is dropped when its announcement ends; requests need not wait for that', async () => {
    await using nats = await natsServer();
    await using roster = await openRoster(nats.url, 0);
    await using worker = await startWorker(nats.url);
    await roster.until(`${worker.ready} serving`);
    await using doomed = await startWorker(nats.url);
    await roster.until(`${worker.ready} serving,${doomed.ready} serving`);
    await using coordinator = await startCoordinator(nats.url);
    await healthy(coordinator, serving(2));
    doomed.kill('SIGKILL');
    await healthy(coordinator, serving(1));
    await Promise.all([1, 2, 3, 4].map(() => assertAnswers(coordinator)));
    await roster.until(`${worker.ready} serving`);
  });

  test('with NATS killed, running and new requests go on; started anew and empty, it is filled again', async () => {
    await using nats = await natsServer();
    await using first = await startWorker(nats.url);
    await using second = await startWorker(nats.url);
    await using coordinator = await startCoordinator(nats.url);
    await healthy(coordinator, serving(2));
    const running = await generate(coordinator, 64, true);
    assert.equal(running.status, 200);
    await nats.kill();
    await healthy(coordinator, ({ roster }) => !roster.nats.connected);
    assert.match(await running.text(), /\[DONE\]\s*$/);
    await Promise.all([1, 2, 3, 4].map(() => assertAnswers(coordinator)));
    await healthy(coordinator, serving(2));
    await nats.start();
    const { roster } = await healthy(coordinator, (health) => health.roster.nats.connected);
    assert.equal(roster.announced, 2);
    await using late = await startWorker(nats.url);
    const healed = await healthy(coordinator, serving(3));
    assert.deepEqual(
      healed.workers.map((each) => each.address).sort(),
      [first.ready, second.ready, late.ready].sort(),
    );
    // Another coordinator knows only what hangs on the new board.
    await using newcomer = await startCoordinator(nats.url);
    await healthy(newcomer, serving(3));
  });

  test('without NATS at their start both serve, say so, and find each other once it is there', async () => {
    await using nats = await natsServer();
    await nats.kill();
    await using worker = await startWorker(nats.url);
    await using coordinator = await startCoordinator(nats.url);
    const alone = await healthy(coordinator, () => true);
    assert.equal(alone.status, 'unavailable');
    assert.match(alone.roster.nats.reason ?? '', /cannot be reached/);
    await using listed = await startCoordinator(nats.url, '--worker', worker.ready);
    await assertAnswers(listed);
    await nats.start();
    await healthy(coordinator, serving(1));
    await assertAnswers(coordinator);
  });

  test('two coordinators share the workers', async () => {
    await using nats = await natsServer();
    await using one = await startCoordinator(nats.url);
    await using two = await startCoordinator(nats.url);
    await using _first = await startWorker(nats.url);
    await using _second = await startWorker(nats.url);
    await Promise.all([one, two].map((coordinator) => healthy(coordinator, serving(2))));
    await Promise.all([one, two, one, two].map(assertAnswers));
  });

  test('two prefixes on one server do not see each other', async () => {
    await using nats = await natsServer();
    await using blue = await startCoordinator(nats.url, '--nats-prefix', 'blue');
    await using green = await startCoordinator(nats.url, '--nats-prefix', 'green');
    await using inBlue = await startWorker(nats.url, '--nats-prefix', 'blue');
    await using inGreen = await startWorker(nats.url, '--nats-prefix', 'green');
    for (const [coordinator, worker] of [
      [blue, inBlue],
      [green, inGreen],
    ] as const) {
      const { workers, roster } = await healthy(coordinator, serving(1));
      assert.deepEqual([workers[0]?.address, roster.announced], [worker.ready, 1]);
    }
  });

  test('a worker with another bundle is named by /health and left alone', async () => {
    await using nats = await natsServer();
    await using coordinator = await startCoordinator(nats.url);
    await using stranger = await startWorker(nats.url, '--model', other.directory);
    const { status, workers, roster } = await healthy(coordinator, (health) => health.roster.announced === 1);
    assert.deepEqual([status, workers], ['unavailable', []]);
    assert.equal(roster.mismatched[0]?.address, stranger.ready);
    assert.match(roster.mismatched[0]?.bundle ?? '', /^tiny \([0-9a-f]{12}\)$/);
  });

  test('wrong credentials end the start in one line, right ones come from the environment', async () => {
    await using nats = await natsServer({
      config: 'authorization { users: [{ user: "rondo", password: "right" }] }',
    });
    const flags = ['--nats', nats.url, '--nats-user', 'rondo'];
    process.env.RONDO_NATS_PASSWORD = 'wrong';
    try {
      const { code, stderr } = await RondoProcess.run(
        ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0'],
        ...flags,
      );
      assert.equal(code, 1);
      assert.match(stderr, /^rondo: NATS .*refuses the credentials.*RONDO_NATS_PASSWORD/m);
      process.env.RONDO_NATS_PASSWORD = 'right';
      await using coordinator = await startCoordinator(nats.url, '--nats-user', 'rondo');
      await using _worker = await startWorker(nats.url, '--nats-user', 'rondo');
      await healthy(coordinator, serving(1));
    } finally {
      delete process.env.RONDO_NATS_PASSWORD;
    }
  });

  test('over TLS both sides show certificates; a server of another authority is refused', async () => {
    const ours = new Authority('ours');
    await using files = await IdentityFiles.make(ours.issue('nats and its clients'), ours.cert);
    await using strange = await IdentityFiles.make(ours.issue('unused'), new Authority('theirs').cert);
    const { cert, key, ca } = files.paths;
    await using nats = await natsServer({
      config: `tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${ca}", verify: true }`,
    });
    const url = nats.url.replace('nats:', 'tls:');
    const flags = ['--nats-ca', ca, '--nats-cert', cert, '--nats-key', key];
    await using coordinator = await startCoordinator(url, ...flags);
    await using _worker = await startWorker(url, ...flags);
    await healthy(coordinator, serving(1));
    const { code, stderr } = await RondoProcess.run(
      ...['coordinator', '--model', bundle.directory, '--nats', url, '--nats-ca', strange.paths.ca],
    );
    assert.equal(code, 1);
    assert.match(stderr, /^rondo: NATS .*TLS.*--nats-ca/m);
  });

  test('a bucket that is lost while the connection stays is heard again once somebody announces', {
    timeout: 60_000,
  }, async (context) => {
    await using nats = await natsServer();
    const [watching, announcing] = await Promise.all([
      openNats({ servers: [nats.url], name: 'watching' }),
      openNats({ servers: [nats.url], name: 'announcing' }),
    ]);
    context.after(() => Promise.all([watching.close(), announcing.close()]));
    const heard = { a: 0, b: 0 };
    let told = () => {};
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) {
        await new Promise<void>((resolve) => {
          told = resolve;
        });
      }
    };
    const stop = new AnnouncementBoard(watching).watch({
      ...{ began() {}, expired() {}, withdrawn() {}, failed() {} },
      announced(key) {
        heard[key as 'a' | 'b']++;
        told();
      },
    });
    const board = new AnnouncementBoard(announcing);
    for (let count = 1; count <= 20; count++) {
      await board.announce(announcementOf('a', '10.0.0.1:7000'));
      await until(() => heard.a >= count);
    }
    const manager = await announcing.stores.jetstream.jetstreamManager();
    await manager.streams.delete(`KV_${announcing.subjects.workersBucket}`);
    await board.announce(announcementOf('b', '10.0.0.2:7000'));
    await until(() => heard.b > 0);
    stop();
  });

  test('forty that make the bucket at once all find it', { timeout: 60_000 }, async () => {
    await using nats = await natsServer();
    const links = await Promise.all(
      Array.from({ length: 40 }, (_, index) => openNats({ servers: [nats.url], name: `test ${index}` })),
    );
    await using roster = await openRoster(nats.url);
    const names = links.map((_, index) => `10.0.0.1:${7000 + index}`);
    const announced = names.map((name) => announcementOf(`a worker, ${name}`, name));
    const seen = new Set<string>();
    const all = Promise.withResolvers<void>();
    const stop = new AnnouncementBoard(links[0]!).watch({
      began() {},
      expired() {},
      withdrawn() {},
      failed() {},
      announced(_, { workerId }) {
        if (seen.add(workerId).size === links.length) all.resolve();
      },
    });
    // A server that makes forty buckets at once may be late for some: as a worker does, they try again.
    const hangUp = async (board: AnnouncementBoard, announcement: WorkerAnnouncement): Promise<void> =>
      board.announce(announcement).catch(() => hangUp(board, announcement));
    await Promise.all(links.map((link, index) => hangUp(new AnnouncementBoard(link), announced[index]!)));
    await all.promise;
    await roster.until('');
    stop();
    await Promise.all(links.map((link) => link.close()));
  });
});
