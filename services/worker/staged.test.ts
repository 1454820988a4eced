import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  address,
  type ExitRule,
  LIMITS,
  type Route,
  type SequenceId,
  type WorkerRef,
  workerId,
} from '@rondo/core';
import { connectWorker, type MicrobatchChunk, PROTOCOL_REVISION, serveWorker } from '@rondo/wire';
import {
  generate,
  homedRoute,
  stagedRoute,
  type startTestWorker,
  type TestWorker,
  testSpec,
  whenEmpty,
} from './test-cluster.ts';
import { agrees, promptOf, TestFleet } from './test-fleet.ts';
import { generateAlone, type TestShape } from './test-model.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 4 };

const fleet = new TestFleet();
after(() => fleet.stopAll());

async function start(count: number, ...args: Parameters<typeof startTestWorker>): Promise<TestWorker[]> {
  return Promise.all(Array.from({ length: count }, () => fleet.start(...args)));
}

const allEmpty = (workers: readonly TestWorker[]) => Promise.all(workers.map(whenEmpty));

test('passes cut over two and three workers give the tokens of the model run row by row', async () => {
  for (const shape of [SHAPE, { prelude: 0, coda: 0, maxDepth: 3 }]) {
    for (const count of [2, 3]) {
      const workers = await start(count, shape);
      const home = workers[0]!;
      const route = stagedRoute(workers, shape.maxDepth);
      await agrees(home, shape, testSpec(route, { promptIds: promptOf(200), maxTokens: 12 }));
      await agrees(
        home,
        shape,
        testSpec(route, { promptIds: promptOf(130), maxTokens: 2, promptLogprobs: true }),
      );
      await allEmpty(workers);
      assert.deepEqual(
        workers.map((worker) => [
          ...new Set(
            worker.engine.batches
              .filter(({ stack }) => stack === 'block')
              .flatMap(({ depths }) => [...depths]),
          ),
        ]),
        route.stages.map(({ depths }) =>
          Array.from({ length: depths.end - depths.first }, (_, index) => depths.first + index),
        ),
        'every worker runs the depths of its stage and no other',
      );
    }
  }
});

test('many staged and homed sequences share workers, each giving what it gives alone', async () => {
  const workers = await start(3, SHAPE);
  const [a, b, c] = workers as [TestWorker, TestWorker, TestWorker];
  const routes: [TestWorker, Route][] = [
    [a, stagedRoute([a, b, c], 4)],
    [b, stagedRoute([b, a], 4)],
    [c, stagedRoute([c, a, c, b], 4)],
    [c, { ...stagedRoute([a, b], 4), home: c.ref }],
    [b, homedRoute(b, 4)],
  ];
  await Promise.all(
    routes.flatMap(([home, route]) =>
      [1, 40, 150].map((length, index) =>
        agrees(home, SHAPE, testSpec(route, { promptIds: promptOf(length, index), maxTokens: 15 })),
      ),
    ),
  );
  await allEmpty(workers);
});

test('chunks of a long prompt are on their way through the stages together', async () => {
  const workers = await start(2, SHAPE);
  const hold = Promise.withResolvers<void>();
  workers[1]!.engine.gate = hold.promise;
  const spec = testSpec(stagedRoute(workers, 4), { promptIds: promptOf(300), maxTokens: 1 });
  const outcome = generate(workers[0]!, spec);
  const preludes = () => workers[0]!.engine.batches.filter((batch) => batch.stack === 'prelude').length;
  while (preludes() < 2) await workers[0]!.client.describe();
  hold.resolve();
  assert.deepEqual((await outcome).ids, generateAlone(SHAPE, spec).ids);
});

test('rows travel on while the next run of the worker that they left is under way', async () => {
  const workers = await start(2, SHAPE);
  const [{ engine }, next] = workers as [TestWorker, TestWorker];
  const hold = Promise.withResolvers<void>();
  // Both passes of the first chunk run there; what comes then waits.
  const inBlock = () => engine.batches.filter(({ stack }) => stack === 'block').length;
  Object.defineProperty(engine, 'gate', { get: () => (inBlock() < 2 ? undefined : hold.promise) });
  const spec = testSpec(stagedRoute(workers, 4), { promptIds: promptOf(200), maxTokens: 1 });
  const outcome = generate(workers[0]!, spec);
  while (next.engine.batches.length < 2) await next.client.describe();
  assert.equal(inBlock(), 2);
  hold.resolve();
  assert.deepEqual((await outcome).ids, generateAlone(SHAPE, spec).ids);
});

test('a sequence that goes on where its rows may have left early is refused over stages, and taken at home', async () => {
  const workers = await start(2, { ...SHAPE, kvPolicy: 'propagate' });
  const exit = { policy: 'gate', threshold: 0.5, minDepth: 1, maxDepth: 4 } as const;
  const said = await generate(workers[0]!, testSpec(stagedRoute(workers, 4), { exit }));
  const emitted = said.ids.slice(0, 2).map((id) => ({ id, passes: 4 }));
  const anew = testSpec(stagedRoute(workers, 4), { exit, emitted });
  await assert.rejects(generate(workers[0]!, anew), { code: 'INVALID_REQUEST', message: /must be homed/ });
  assert.equal((await generate(workers[0]!, { ...anew, route: homedRoute(workers[0]!, 4) })).ids.length, 6);
});

test('leaving a staged sequence frees its pages on every worker', async () => {
  const workers = await start(3, SHAPE);
  const spec = testSpec(stagedRoute(workers, 4), { promptIds: promptOf(100), maxTokens: 300 });
  for await (const event of workers[0]!.client.generate(spec, new AbortController().signal)) {
    if (event.type === 'token' && event.index === 2) break;
  }
  await allEmpty(workers);
});

test('a stage without room refuses for the whole sequence, and nothing stays reserved', async () => {
  const [home] = await start(1, SHAPE);
  const [small] = await start(1, SHAPE, { pools: { block: 3 } });
  const route = stagedRoute([home!, small!], 4);
  await assert.rejects(generate(home!, testSpec(route, { promptIds: promptOf(40) })), {
    code: 'KV_EXHAUSTED',
    message: new RegExp(small!.ref.id),
  });
  await allEmpty([home!, small!]);
  await agrees(home!, SHAPE, testSpec(route));
});

test('a worker that drains opens no stage any more and ends those it has', async () => {
  const [home, leaves] = (await start(2, SHAPE)) as [TestWorker, TestWorker];
  const hold = Promise.withResolvers<void>();
  leaves.engine.gate = hold.promise;
  const spec = testSpec(stagedRoute([home, leaves], 4));
  const begun = generate(home, spec);
  while ((await leaves.client.describe()).load.sequences < 1);
  const left = fleet.stop(leaves);
  await assert.rejects(generate(home, testSpec(stagedRoute([home, leaves], 4))), {
    code: 'NO_WORKER',
    message: new RegExp(`${leaves.ref.id} is about to leave`),
  });
  hold.resolve();
  assert.deepEqual((await begun).ids, generateAlone(SHAPE, spec).ids);
  await left;
  await allEmpty([home]);
});

test('a worker that has drained for as long as it may ends what still runs there', async () => {
  const [home, leaves] = [...(await start(1, SHAPE)), ...(await start(1, SHAPE, { drainMs: 10 }))];
  const hold = Promise.withResolvers<void>();
  leaves!.engine.gate = hold.promise;
  const begun = assert.rejects(generate(home!, testSpec(stagedRoute([home!, leaves!], 4))), {
    code: 'WORKER_LOST',
  });
  while ((await leaves!.client.describe()).load.sequences < 1);
  const left = fleet.stop(leaves!);
  await begun;
  hold.resolve();
  await left;
});

test('a lost stage worker fails the sequences that use it and no other', async () => {
  const [home, stays, goes] = (await start(3, SHAPE)) as [TestWorker, TestWorker, TestWorker];
  const hold = Promise.withResolvers<void>();
  goes.engine.gate = hold.promise;
  const long = { promptIds: promptOf(20), maxTokens: 30 };
  const doomed = assert.rejects(generate(home, testSpec(stagedRoute([home, goes], 4), long)), {
    code: 'WORKER_LOST',
  });
  const between = assert.rejects(generate(home, testSpec(stagedRoute([home, stays, goes], 4), long)), {
    code: 'WORKER_LOST',
  });
  const survivor = testSpec(stagedRoute([home, stays], 4), long);
  const survives = agrees(home, SHAPE, survivor);
  while ((await goes.client.describe()).load.sequences < 2);
  const stopped = fleet.stop(goes);
  await Promise.all([doomed, between, survives]);
  hold.resolve();
  await stopped;
  await allEmpty([home, stays]);
  await assert.rejects(generate(home, testSpec(stagedRoute([home, goes], 4))), { code: 'WORKER_LOST' });
  await agrees(home, SHAPE, testSpec(stagedRoute([home, stays], 4)));
});

test('a failing engine on a stage fails the sequence at its home', async () => {
  const workers = await start(2, SHAPE);
  workers[1]!.engine.failure = new Error('bad weather');
  await assert.rejects(generate(workers[0]!, testSpec(stagedRoute(workers, 4))), {
    code: 'ENGINE_FAILED',
    message: /bad weather/,
  });
  await allEmpty(workers);
});

test('workers with different bundles do not run passes for each other, and say which they have', async () => {
  const [home] = await start(1, SHAPE);
  const [foreign] = await start(1, SHAPE, { digest: 'f'.repeat(64) });
  await assert.rejects(generate(home!, testSpec(stagedRoute([home!, foreign!], 4))), {
    code: 'BUNDLE_MISMATCH',
    message: /dddd.*ffff/,
  });
  await allEmpty([home!, foreign!]);
});

const RULE = { threshold: 0, minDepth: 1, maxDepth: 4 } as const;
const EXITS: readonly ExitRule[] = [
  { ...RULE, policy: 'none', maxDepth: 1 },
  { ...RULE, policy: 'none', maxDepth: 3 },
  { ...RULE, policy: 'gate', threshold: 0.7 },
  { ...RULE, policy: 'gate', threshold: 0.7, minDepth: 2 },
  { ...RULE, policy: 'latent-diff', threshold: 0.9 },
  { ...RULE, policy: 'replay', depths: [1, 4, 1, 1, 3, 2, 1, 4] },
  { ...RULE, policy: 'replay', depths: [2, 3] },
];

for (const kvPolicy of ['propagate', 'catch-up'] as const) {
  test(`rows leave at any stage of two and three workers as they leave at home (${kvPolicy})`, async () => {
    for (const shape of [
      { ...SHAPE, kvPolicy },
      { prelude: 0, coda: 0, maxDepth: 4, kvPolicy },
    ]) {
      const workers = await start(3, shape);
      const [a, b, c] = workers as [TestWorker, TestWorker, TestWorker];
      const routes: [TestWorker, Route][] = [
        [a, stagedRoute([a, b], 4)],
        [a, stagedRoute([a, b, c], 4)],
        [c, stagedRoute([c, a, c, b], 4)],
        [c, { ...stagedRoute([a, b], 4), home: c.ref }],
      ];
      for (const [home, route] of routes) {
        await Promise.all(
          EXITS.map((exit, index) =>
            agrees(
              home,
              shape,
              testSpec(route, { promptIds: promptOf(20 + index, index), maxTokens: 60, exit }),
            ),
          ),
        );
      }
      await allEmpty(workers);
    }
  });
}

test('where an exit needs its home, a sequence that may exit early is refused on a staged route', async () => {
  const refused = async (kvPolicy: 'last-exited' | 'propagate', exit: ExitRule) => {
    const workers = await start(2, { ...SHAPE, kvPolicy });
    await assert.rejects(generate(workers[0]!, testSpec(stagedRoute(workers, 4), { exit })), {
      code: 'INVALID_REQUEST',
      message: new RegExp(`${exit.policy}.*${kvPolicy}`),
    });
  };
  await refused('last-exited', { ...RULE, policy: 'gate', threshold: 0.5 });
  await refused('propagate', { ...RULE, policy: 'confidence', threshold: 0.5 });
});

/** A stage that takes rows and never runs them; it grants what the test says. */
async function idleStage(grants: number) {
  const seen: MicrobatchChunk[] = [];
  let [rows, wanted] = [0, 0];
  let reached = Promise.withResolvers<void>();
  let grant: (rows: number) => void = () => {};
  const server = await serveWorker(address('127.0.0.1:0'), {
    describe: () => assert.fail('nobody asks'),
    async *watch() {},
    async *generate() {},
    async passes(_hello, frames, reply) {
      grant = (more) => reply({ type: 'credit', rows: more });
      grant(grants);
      for await (const frame of frames) {
        if (frame.type === 'open-stage')
          reply({ type: 'stage-opened', sequenceId: frame.sequenceId, epoch: frame.route.epoch });
        if (frame.type !== 'microbatch') continue;
        seen.push(...frame.chunks);
        rows += frame.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
        if (rows >= wanted) reached.resolve();
      }
    },
  });
  return {
    ref: { id: workerId('idle'), address: server.address } as WorkerRef,
    seen,
    rows: () => rows,
    grant: (more: number) => grant(more),
    async reaches(count: number) {
      wanted = count;
      reached = Promise.withResolvers();
      if (rows < wanted) await reached.promise;
    },
    close: () => server.close({ graceMs: 0 }),
  };
}

test('rows wait at their sender for the credit of a stage that is stuck, and nobody else waits', async () => {
  const [home, stays] = (await start(2, SHAPE)) as [TestWorker, TestWorker];
  const stuck = await idleStage(70);
  const depths = { first: 0, end: 4 };
  const route: Route = { epoch: 1, home: home.ref, stages: [{ worker: stuck.ref, depths }] };
  const leave = new AbortController();
  const held = Array.from({ length: 3 }, () =>
    assert.rejects(generate(home, testSpec(route, { promptIds: promptOf(60) }), leave.signal), {
      code: 'CANCELLED',
    }),
  );
  await stuck.reaches(70);
  await agrees(home, SHAPE, testSpec(stagedRoute([home, stays], 4), { promptIds: promptOf(100) }));
  assert.equal(stuck.rows(), 70, 'no row beyond the credit was sent');
  stuck.grant(1000);
  await stuck.reaches(180);
  assert.equal(stuck.rows(), 180);
  leave.abort();
  await Promise.all(held);
  await allEmpty([home, stays]);
  await stuck.close();
});

test('a peer that sends more rows than were granted is cut off', async () => {
  const [worker] = (await start(1, SHAPE)) as [TestWorker];
  const client = connectWorker(worker.running.address);
  const hello = { protocolRevision: PROTOCOL_REVISION, bundleDigest: 'd'.repeat(64) };
  const link = client.openPasses({ ...hello, workerId: workerId('greedy'), activations: 'f32' });
  const rows = LIMITS.linkCreditRows + 1;
  const chunk = {
    sequenceId: 'who' as never,
    epoch: 1,
    kind: 'live',
    depth: 0,
    start: 0,
    rest: 0,
    survival: 1,
  } as const;
  await link.send({ type: 'microbatch', chunks: [{ ...chunk, rows, state: new Float32Array(rows * 4) }] });
  await assert.rejects(
    async () => {
      for await (const reply of link.events) assert.equal(reply.type, 'credit');
    },
    { code: 'PROTOCOL_MISMATCH', message: /worker greedy sent 1025 rows with 1024 granted/ },
  );
  client.close();
});

test('states in half precision take another way only by rounding, and workers must agree on it', async () => {
  const workers = await start(2, SHAPE, { activations: 'f16' });
  const spec = testSpec(stagedRoute(workers, 4), { promptIds: promptOf(60), maxTokens: 1, topLogprobs: 0 });
  const [found, exact] = [await generate(workers[0]!, spec), generateAlone(SHAPE, spec)];
  assert.notDeepEqual(found.logprobs, exact.logprobs);
  assert.ok(Math.abs(found.logprobs[0]! - exact.logprobs[0]!) < 0.01);
  const [other] = await start(1, SHAPE);
  await assert.rejects(generate(other!, testSpec(stagedRoute([other!, workers[0]!], 4))), {
    code: 'PROTOCOL_MISMATCH',
    message: /f32.*f16: start both with the same --activations/,
  });
});

test('of a prompt chunk only the last row comes home from the last stage, unless its home needs all of them', async () => {
  const shape: TestShape = { prelude: 0, coda: 0, maxDepth: 4 };
  const [worker] = (await start(1, shape)) as [TestWorker];
  const home = await idleStage(100);
  const client = connectWorker(worker.running.address);
  const link = client.openPasses({
    protocolRevision: PROTOCOL_REVISION,
    bundleDigest: 'd'.repeat(64),
    workerId: home.ref.id,
    activations: 'f32',
  });
  const stages = [{ worker: worker.ref, depths: { first: 0, end: 4 } }];
  const route: Route = { epoch: 1, home: home.ref, stages };
  const sent = { epoch: 1, kind: 'live', depth: 0, start: 0, rows: 3, rest: 0, survival: 1 } as const;
  for (const [promptStates, rows] of [
    [false, 1],
    [true, 4],
  ] as const) {
    const { sequenceId, exit } = testSpec(route);
    await link.send({
      type: 'open-stage',
      sequenceId,
      route,
      positions: 16,
      exit,
      promptRows: 3,
      promptStates,
      background: false,
    });
    await link.send({ type: 'microbatch', chunks: [{ ...sent, sequenceId, state: new Float32Array(12) }] });
    await home.reaches(rows);
  }
  assert.deepEqual(
    home.seen.map(({ start, rows, depth }) => [start, rows, depth]),
    [
      [2, 1, 4],
      [0, 3, 4],
    ],
  );
  link.close();
  await whenEmpty(worker);
  client.close();
  await home.close();
});

test('rows of unknown sequences and old epochs are dropped and counted', async () => {
  const [worker] = (await start(1, SHAPE, { name: 'wren' })) as [TestWorker];
  const client = connectWorker(worker.running.address);
  const peer = { id: 'elsewhere' as never, address: address('127.0.0.1:1') };
  const link = client.openPasses({
    protocolRevision: PROTOCOL_REVISION,
    bundleDigest: 'd'.repeat(64),
    workerId: peer.id,
    activations: 'f32',
  });
  const replies = link.events[Symbol.asyncIterator]();
  const route: Route = {
    epoch: 5,
    home: peer,
    stages: [{ worker: worker.ref, depths: { first: 0, end: 4 } }],
  };
  const sequence = testSpec(route).sequenceId;
  const opening = { type: 'open-stage', sequenceId: sequence, route, positions: 16 } as const;
  const { exit } = testSpec(route);
  await link.send({ ...opening, exit, promptRows: 3, promptStates: true, background: false });
  assert.deepEqual((await replies.next()).value, { type: 'credit', rows: LIMITS.linkCreditRows });
  assert.equal((await replies.next()).value?.type, 'stage-opened');
  const chunk: MicrobatchChunk = {
    sequenceId: sequence,
    epoch: 4,
    kind: 'live',
    depth: 0,
    start: 0,
    rows: 1,
    rest: 0,
    survival: 1,
    state: new Float32Array(4),
  };
  await link.send({
    type: 'microbatch',
    chunks: [chunk, { ...chunk, sequenceId: 'who' as never, epoch: 5 }],
  });
  // Of the right epoch but out of order: that is refused loudly.
  await link.send({ type: 'microbatch', chunks: [{ ...chunk, epoch: 5, start: 3 }] });
  const reply = (await replies.next()).value;
  assert.ok(reply?.type === 'stage-failed');
  assert.match(reply.error.message, /position 3 came while 0 positions were written/);
  assert.match(await worker.metrics.render(), /rondo_stale_chunks_total\{worker="wren"\} 2\b/);
  await link.send({
    ...opening,
    route: { ...route, epoch: 6 },
    exit,
    promptRows: 3,
    promptStates: true,
    background: false,
  });
  assert.equal((await replies.next()).value?.type, 'stage-opened');
  link.close();
  await whenEmpty(worker);
  client.close();
});

test('a sequence that breaks the order leaves the run with all of its rows, and the others in it stay', async () => {
  const [worker] = (await start(1, SHAPE)) as [TestWorker];
  const client = connectWorker(worker.running.address);
  const peer = { id: workerId('elsewhere'), address: address('127.0.0.1:1') };
  const link = client.openPasses({
    protocolRevision: PROTOCOL_REVISION,
    bundleDigest: 'd'.repeat(64),
    workerId: peer.id,
    activations: 'f32',
  });
  const replies = link.events[Symbol.asyncIterator]();
  await replies.next();
  const route: Route = {
    epoch: 1,
    home: peer,
    stages: [{ worker: worker.ref, depths: { first: 0, end: 4 } }],
  };
  const chunk = { epoch: 1, kind: 'live', rows: 1, rest: 0, survival: 1 } as const;
  const opened = async (): Promise<SequenceId> => {
    const { sequenceId, exit } = testSpec(route);
    const opening = { type: 'open-stage', sequenceId, route, positions: 16, exit } as const;
    await link.send({ ...opening, promptRows: 3, promptStates: true, background: false });
    assert.equal((await replies.next()).value?.type, 'stage-opened');
    return sequenceId;
  };
  // A run takes as many decoding rows as there are sequences.
  const [wrong, other] = [await opened(), await opened(), await opened()];
  const state = new Float32Array(4);
  const chunks = [
    { ...chunk, sequenceId: other, state, depth: 3, start: 0 },
    { ...chunk, sequenceId: wrong, state, depth: 1, start: 0 },
    { ...chunk, sequenceId: wrong, state, depth: 0, start: 3 },
  ];
  await link.send({ type: 'microbatch', chunks });
  const reply = (await replies.next()).value;
  assert.ok(reply?.type === 'stage-failed' && reply.sequenceId === wrong);
  link.close();
  await whenEmpty(worker);
  assert.deepEqual(
    worker.engine.batches.map(({ depths }) => [...depths]),
    [[3]],
  );
  client.close();
});
