import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { LIMITS, sequenceId } from '@rondo/core';
import { Inbox } from './inbox.ts';
import { generate, stagedRoute, type TestWorker, testSpec, whenEmpty } from './test-cluster.ts';
import { agrees, promptOf, TestFleet } from './test-fleet.ts';
import { generateAlone, type TestShape } from './test-model.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 4 };

const fleet = new TestFleet();
after(() => fleet.stopAll());

/** The sum of a metric's series whose labels contain `labels`. */
async function told({ metrics }: TestWorker, name: string, labels = ''): Promise<number> {
  const { body } = await metrics.rendered(undefined);
  const series = body.split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
  return series.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0);
}

/** So many turns of the event loop and of the network, and more. */
async function someTurns({ client }: TestWorker): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await client.describe();
}

test('a stage worker tells that its last sequence has left, and looks whether all pages are there', async () => {
  const workers = [await fleet.start(SHAPE), await fleet.start(SHAPE)];
  await agrees(workers[0]!, SHAPE, testSpec(stagedRoute(workers, 4), { promptIds: promptOf(20) }));
  await Promise.all(workers.map(whenEmpty));
  for (const worker of workers) {
    assert.equal(await told(worker, 'rondo_worker_sequences'), 0);
    assert.equal(await told(worker, 'rondo_kv_pages', 'state="used"'), 0);
    while ((await told(worker, 'rondo_idle_checks_total')) === 0) await worker.client.describe();
  }
});

test('who waits with the static policy for others to end costs nothing meanwhile, and runs when they have', async (context) => {
  const [home, next] = [await fleet.start(SHAPE, { policy: 'static' }), await fleet.start(SHAPE)];
  const hold = Promise.withResolvers<void>();
  next.engine.gate = hold.promise;
  const specs = [10, 20].map((rows) =>
    testSpec(stagedRoute([home, next], 4), { promptIds: promptOf(rows), maxTokens: 3 }),
  );
  const first = generate(home, specs[0]!);
  while (!next.running.inRun) await next.client.describe();
  const second = generate(home, specs[1]!);
  while ((await home.client.describe()).load.sequences < 2);
  await someTurns(home);
  const looks = context.mock.method(Inbox.prototype, 'fronts').mock;
  await someTurns(home);
  assert.equal(looks.callCount(), 0);
  hold.resolve();
  for (const [index, outcome] of [first, second].entries())
    assert.deepEqual((await outcome).ids, generateAlone(SHAPE, specs[index]!).ids);
});

test('a token is told while the prelude of the next one runs, when that has layers', async () => {
  const worker = await fleet.start(SHAPE);
  const { engine } = worker;
  const hold = Promise.withResolvers<void>();
  Object.defineProperty(engine, 'gate', {
    get: () => (engine.batches.at(-1)?.stack === 'coda' ? hold.promise : undefined),
  });
  const spec = testSpec(stagedRoute([worker], 4), { maxTokens: 3 });
  const ids: number[] = [];
  const reading = (async () => {
    for await (const event of worker.client.generate(spec, new AbortController().signal))
      if (event.type === 'token') ids.push(event.id);
  })();
  while (engine.batches.at(-1)?.stack !== 'coda') await worker.client.describe();
  await someTurns(worker);
  const whileHeld = [...ids];
  hold.resolve();
  await reading;
  const expected = generateAlone(SHAPE, spec).ids;
  assert.deepEqual([whileHeld, ids], [expected.slice(0, 1), expected]);
});

test('a token is told behind a prelude that is brief, and waits for no second one', async () => {
  const worker = await fleet.start({ ...SHAPE, prelude: 0 });
  const { engine, client } = worker;
  const route = stagedRoute([worker], 4);
  const prompts: Promise<unknown>[] = [];
  const told: number[] = [];
  const ids: number[] = [];
  const run = engine.runStack.bind(engine);
  engine.runStack = async (batch) => {
    if (batch.stack === 'coda' && prompts.length === 0) {
      const long = testSpec(route, { promptIds: promptOf(LIMITS.prefillBudgetRows), maxTokens: 1 });
      prompts.push(generate(worker, long), generate(worker, { ...long, sequenceId: sequenceId('another') }));
      while ((await client.describe()).load.sequences < 3);
    } else if (batch.stack === 'prelude' && prompts.length > 0) {
      await someTurns(worker);
      told.push(ids.length);
    }
    return run(batch);
  };
  for await (const event of client.generate(testSpec(route, { maxTokens: 2 }), new AbortController().signal))
    if (event.type === 'token') ids.push(event.id);
  await Promise.all(prompts);
  assert.deepEqual(told, [0, 1]);
});

test('time in which K and V of rows that left are projected counts as busy', async () => {
  const shape: TestShape = { ...SHAPE, kvPolicy: 'propagate' };
  const worker = await fleet.start(shape);
  const { engine } = worker;
  const propagate = engine.propagate.bind(engine);
  let projectedMs = 0;
  engine.propagate = async (batch) => {
    const begin = performance.now();
    while (performance.now() - begin < 20);
    projectedMs += performance.now() - begin;
    return propagate(batch);
  };
  const exit = { policy: 'gate', threshold: 0.5, minDepth: 1, maxDepth: 4 } as const;
  await agrees(worker, shape, testSpec(stagedRoute([worker], 4), { exit, maxTokens: 12 }));
  assert.ok(projectedMs > 0, 'no row left early');
  assert.ok(1000 * (await told(worker, 'rondo_step_busy_seconds_total')) >= projectedMs);
});

test('pages that an engine which has ended cannot poison end nothing else', async (context) => {
  const worker = await fleet.start(SHAPE);
  const failed = context.mock.fn();
  process.once('unhandledRejection', failed);
  const asked = context.mock.method(worker.engine, 'poison', () => Promise.reject(new Error('it has ended')));
  await agrees(worker, SHAPE, testSpec(stagedRoute([worker], 4)));
  await whenEmpty(worker);
  await someTurns(worker);
  process.off('unhandledRejection', failed);
  assert.ok(asked.mock.callCount() > 0);
  assert.equal(failed.mock.callCount(), 0);
});
