import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { GenerateSpec } from '@rondo/core';
import { IDLE_CHECK_AFTER_MS } from './idle-check.ts';
import {
  generate,
  homedRoute,
  startTestWorker,
  type TestWorker,
  testSpec,
  whenEmpty,
} from './test-cluster.ts';
import { agrees, promptOf, TestFleet } from './test-fleet.ts';
import { generateAlone, type TestShape } from './test-model.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 2 };

const fleet = new TestFleet();
after(() => fleet.stopAll());
const start: TestFleet['start'] = (...args) => fleet.start(...args);

const spec = (worker: TestWorker, change: Partial<GenerateSpec> = {}) =>
  testSpec(homedRoute(worker, 2), change);

/** Reads a sequence until it has said `tokens` tokens, then leaves. */
async function readSome(
  worker: TestWorker,
  of: GenerateSpec,
  tokens: number,
  abort?: AbortController,
): Promise<void> {
  let seen = 0;
  for await (const event of worker.client.generate(of, (abort ?? new AbortController()).signal)) {
    if (event.type === 'token') seen++;
    if (seen === tokens) return;
  }
}

test('a caller who leaves frees all pages, and the others do not notice', async () => {
  const worker = await start(SHAPE);
  const other = spec(worker, { maxTokens: 60 });
  const [outcome] = await Promise.all([
    generate(worker, other),
    readSome(worker, spec(worker, { maxTokens: 400 }), 3),
    readSome(worker, spec(worker, { maxTokens: 400, promptIds: Array(100).fill(4) }), 1),
  ]);
  assert.deepEqual(outcome.ids, generateAlone(SHAPE, other).ids);
  await whenEmpty(worker);
});

test('pages of a sequence cancelled in the middle of a run are free only after the run', async () => {
  const worker = await start(SHAPE);
  const hold = Promise.withResolvers<void>();
  const abort = new AbortController();
  let opened = false;
  const cancelled = (async () => {
    for await (const event of worker.client.generate(spec(worker), abort.signal)) {
      opened ||= event.type === 'opened';
      abort.abort();
    }
  })();
  worker.engine.gate = hold.promise;
  await assert.rejects(cancelled, { code: 'CANCELLED' });
  assert.ok(opened);
  let load = (await worker.client.describe()).load;
  while (load.sequences > 0) load = (await worker.client.describe()).load;
  assert.ok(load.freePositions < load.totalPositions, 'the engine is still writing to these pages');
  hold.resolve();
  await whenEmpty(worker);
});

test('a run that outlives its sequence is not taken for pages that were lost', async (context) => {
  const worker = await start(SHAPE);
  context.mock.timers.enable({ apis: ['setTimeout'] });
  await generate(worker, spec(worker));
  await whenEmpty(worker);
  // The worker has fallen idle and will look; by then a run is under way whose sequence has left.
  const hold = Promise.withResolvers<void>();
  worker.engine.gate = hold.promise;
  const abort = new AbortController();
  const cancelled = (async () => {
    for await (const _ of worker.client.generate(spec(worker), abort.signal)) abort.abort();
  })();
  await assert.rejects(cancelled, { code: 'CANCELLED' });
  while ((await worker.client.describe()).load.sequences > 0);
  context.mock.timers.tick(2 * IDLE_CHECK_AFTER_MS);
  hold.resolve();
  const after = spec(worker);
  assert.deepEqual((await generate(worker, after)).ids, generateAlone(SHAPE, after).ids);
  await whenEmpty(worker);
});

test('who leaves while exited rows are being projected is in no run after that', async () => {
  const shape: TestShape = { ...SHAPE, kvPolicy: 'propagate' };
  const worker = await start(shape);
  const { engine, client } = worker;
  const propagate = engine.propagate.bind(engine);
  const early = { policy: 'replay', threshold: 0, minDepth: 1, maxDepth: 2, depths: [1] } as const;
  for (let round = 1; round <= 6; round++) {
    const leaver = new AbortController();
    let armed = false;
    engine.propagate = async (batch) => {
      if (armed) {
        leaver.abort();
        // Its pages are poisoned then: a run that still had its rows would read them, and fail for all.
        while ((await client.describe()).load.sequences > 1);
      }
      return propagate(batch);
    };
    const leaving = async () => {
      let tokens = 0;
      for await (const event of client.generate(spec(worker, { maxTokens: 400 }), leaver.signal)) {
        if (event.type === 'token') armed = ++tokens >= round;
      }
    };
    await Promise.all([
      assert.rejects(leaving(), { code: 'CANCELLED' }),
      agrees(worker, shape, spec(worker, { maxTokens: 60, exit: early })),
    ]);
    assert.ok(armed, 'nobody left during a projection');
  }
  await whenEmpty(worker);
});

test('what one worker cannot hold it refuses, and takes it when there is room again', async () => {
  const worker = await start(SHAPE, { pools: { prelude: 65, block: 2 * 4 + 1, coda: 65 } });
  const large = spec(worker, { promptIds: Array(40).fill(1), maxTokens: 24 });
  const hold = Promise.withResolvers<void>();
  worker.engine.gate = hold.promise;
  const first = generate(worker, large);
  let load = (await worker.client.describe()).load;
  while (load.freePositions > 0) load = (await worker.client.describe()).load;
  await assert.rejects(generate(worker, spec(worker)), { code: 'KV_EXHAUSTED', message: /11 positions/ });
  hold.resolve();
  await first;
  await whenEmpty(worker);
  await generate(worker, spec(worker));
  await assert.rejects(generate(worker, spec(worker, { maxTokens: 400 })), { code: 'KV_EXHAUSTED' });
});

test('a worker at its limit of sequences refuses the next', async () => {
  const worker = await start(SHAPE, { pools: { prelude: 400, block: 800, coda: 400 } });
  const hold = Promise.withResolvers<void>();
  worker.engine.gate = hold.promise;
  const full = Array.from({ length: 256 }, () => generate(worker, spec(worker)));
  let { load } = await worker.client.describe();
  while (load.sequences < load.sequencesMax) load = (await worker.client.describe()).load;
  await assert.rejects(generate(worker, spec(worker)), { code: 'OVERLOADED' });
  hold.resolve();
  await Promise.all(full);
});

test('a request that does not fit this worker or its model is refused with the reason', async () => {
  const worker = await start(SHAPE);
  const route = homedRoute(worker, 2);
  const refused = async (change: Partial<GenerateSpec>, code: string, message: RegExp) =>
    assert.rejects(generate(worker, spec(worker, change)), { code, message }, JSON.stringify(change));
  await refused({ bundleDigest: 'e'.repeat(64) }, 'BUNDLE_MISMATCH', /eeee.*dddd/);
  await refused({ route: { ...route, home: { ...route.home, id: 'gone' as never } } }, 'WORKER_LOST', /gone/);
  await refused({ route: homedRoute(worker, 1) }, 'INVALID_REQUEST', /do not cover depths 0…1/);
  await refused({ promptIds: [1, 32] }, 'INVALID_REQUEST', /token id 32 is outside 0…31/);
  await refused({ promptIds: Array(512).fill(1) }, 'CONTEXT_LENGTH_EXCEEDED', /512 tokens/);
  await refused(
    { exit: { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 3 } },
    'INVALID_REQUEST',
    /max_depth 3 ≤ 2/,
  );
  const { load } = await worker.client.describe();
  assert.equal(load.freePositions, load.totalPositions);
});

test('the same sequence cannot be opened twice in one epoch; a newer epoch ends the older', async () => {
  const worker = await start(SHAPE);
  const hold = Promise.withResolvers<void>();
  worker.engine.gate = hold.promise;
  const old = spec(worker);
  const first = generate(worker, old);
  let { load } = await worker.client.describe();
  while (load.sequences === 0) load = (await worker.client.describe()).load;
  await assert.rejects(generate(worker, old), {
    code: 'INVALID_REQUEST',
    message: /already open in epoch 1/,
  });
  const anew = { ...old, route: homedRoute(worker, 2, 2) };
  const second = generate(worker, anew);
  await assert.rejects(first, { code: 'CANCELLED', message: /epoch 2/ });
  hold.resolve();
  assert.deepEqual((await second).ids, generateAlone(SHAPE, anew).ids);
});

test('a newer epoch for which there is no room leaves the older one as it is', async () => {
  const worker = await start(SHAPE, { pools: { prelude: 65, block: 2 * 4 + 1, coda: 65 } });
  const hold = Promise.withResolvers<void>();
  worker.engine.gate = hold.promise;
  const old = spec(worker, { promptIds: promptOf(40), maxTokens: 24 });
  const first = generate(worker, old);
  let load = (await worker.client.describe()).load;
  while (load.freePositions > 0) load = (await worker.client.describe()).load;
  const longer = { ...old, route: homedRoute(worker, 2, 2), maxTokens: 25 };
  await assert.rejects(generate(worker, longer), { code: 'KV_EXHAUSTED' });
  hold.resolve();
  assert.deepEqual((await first).ids, generateAlone(SHAPE, old).ids);
});

test('a failing run fails the sequences in it, and the next ones are served', async () => {
  const worker = await start(SHAPE);
  worker.engine.failure = new Error('bad weather');
  await assert.rejects(generate(worker, spec(worker)), { code: 'ENGINE_FAILED', message: /bad weather/ });
  worker.engine.failure = undefined;
  await generate(worker, spec(worker));
  await whenEmpty(worker);
});

test('a worker whose engine fails three times in a row says that it is broken and serves no more', async () => {
  const worker = await start(SHAPE);
  worker.engine.failure = new Error('no memory');
  for (let run = 0; run < 3; run++)
    await assert.rejects(generate(worker, spec(worker)), { code: 'ENGINE_FAILED' });
  assert.match((await worker.running.broken).message, /no memory/);
  worker.engine.failure = undefined;
  await assert.rejects(generate(worker, spec(worker)), { code: 'WORKER_LOST', message: /engine is broken/ });
});

test('a worker whose projections fail three times in a row is broken, however well its runs go', async () => {
  const worker = await start({ ...SHAPE, kvPolicy: 'propagate' });
  worker.engine.propagate = async () => Promise.reject(new Error('no graph'));
  const exit = { policy: 'replay', threshold: 0, minDepth: 1, maxDepth: 2, depths: [1] } as const;
  for (let run = 0; run < 3; run++) {
    await assert.rejects(generate(worker, spec(worker, { maxTokens: 20, exit })), { code: 'ENGINE_FAILED' });
  }
  assert.match((await worker.running.broken).message, /no graph/);
});

test('stopping closes the engine', async () => {
  const worker = await startTestWorker(SHAPE);
  await generate(worker, spec(worker));
  await worker.stop();
  assert.ok(worker.engine.closed);
});

test('metrics tell rows and run time by phase and the sequences here', async () => {
  const worker = await start(SHAPE, { name: 'wren' });
  await generate(worker, spec(worker, { maxTokens: 2 }));
  await whenEmpty(worker);
  const text = await worker.metrics.render();
  // Three prompt rows twice through the block, and the first generated token.
  assert.match(text, /rondo_step_rows_sum\{phase="block",worker="wren"\} 8\b/);
  assert.match(text, /rondo_step_run_seconds_count\{phase="head",worker="wren"\} 2\b/);
  assert.match(text, /rondo_worker_sequences\{worker="wren"\} 0\b/);
});
