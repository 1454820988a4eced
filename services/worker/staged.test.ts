import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { ExitRule, Route } from '@rondo/core';
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
import { idleStage } from './test-idle-stage.ts';
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
