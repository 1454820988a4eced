import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { GenerateSpec } from '@rondo/core';
import { generate, homedRoute, stagedRoute, type TestWorker, testSpec, whenEmpty } from './test-cluster.ts';
import { agrees, promptOf, TestFleet } from './test-fleet.ts';
import type { TestShape } from './test-model.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 3 };
const LOOP_ONLY: TestShape = { prelude: 0, coda: 0, maxDepth: 2 };

const fleet = new TestFleet();
after(() => fleet.stopAll());
const start: TestFleet['start'] = (...args) => fleet.start(...args);

/** Runs a sequence, holds it against the model run row by row, and tells what it found in the cache. */
async function cachedTokens(
  worker: TestWorker,
  change: Partial<GenerateSpec>,
  shape = SHAPE,
): Promise<number> {
  const spec = testSpec(homedRoute(worker, shape.maxDepth), change);
  const { promptPasses, cachedTokens: cached } = await agrees(worker, shape, spec);
  assert.equal(promptPasses, (spec.promptIds.length - cached) * shape.maxDepth);
  return cached;
}

test('a prompt that begins like an earlier one says the same as without the cache, and spends no passes on that part', async () => {
  for (const shape of [SHAPE, LOOP_ONLY]) {
    const worker = await start(shape);
    const found = async (promptIds: number[]) => cachedTokens(worker, { promptIds, maxTokens: 20 }, shape);
    assert.equal(await found(promptOf(100)), 0);
    assert.equal(await found(promptOf(100)), 96);
    assert.equal(await found(promptOf(96)), 80, 'the last prompt row must run');
    assert.equal(await found([...promptOf(50), ...promptOf(60, 1)]), 48);
    assert.equal(await found([...promptOf(50), ...promptOf(60, 1)]), 96);
    assert.equal(await found(promptOf(100, 2)), 0);
    await whenEmpty(worker);
  }
});

test('rows that exit early leave shared pages as they are', async () => {
  const worker = await start(SHAPE);
  const exit = { policy: 'gate', threshold: 0.8, minDepth: 1, maxDepth: 3 } as const;
  for (let round = 0; round < 3; round++) {
    const prompts = [33, 40, 47].map((length) => promptOf(length));
    await Promise.all(prompts.map((promptIds) => cachedTokens(worker, { promptIds, exit, maxTokens: 30 })));
  }
  assert.equal(await cachedTokens(worker, { promptIds: promptOf(47) }), 32);
  await whenEmpty(worker);
});

test('sequences that compute the same prompt at the same time do not disturb one another', async () => {
  const worker = await start(SHAPE, { pools: { prelude: 400, block: 1200, coda: 400 } });
  for (let round = 0; round < 2; round++) {
    const all = Array.from({ length: 10 }, (_, index) =>
      cachedTokens(worker, { promptIds: [...promptOf(70), ...promptOf(1 + index, index)], maxTokens: 5 }),
    );
    assert.deepEqual(new Set(await Promise.all(all)), new Set([round * 64]));
  }
  await whenEmpty(worker);
});

test('when the pools are full of other prompts, the oldest make room', async () => {
  const worker = await start(SHAPE, { pools: { prelude: 20, block: 60, coda: 20 } });
  for (let round = 0; round < 2; round++) {
    for (let salt = 0; salt < 6; salt++) {
      assert.equal(await cachedTokens(worker, { promptIds: promptOf(100, salt), maxTokens: 20 }), 0);
    }
  }
  assert.equal(await cachedTokens(worker, { promptIds: promptOf(100, 5) }), 96);
  await whenEmpty(worker);
});

test('a sequence cancelled in its prompt leaves the pages that were complete', async () => {
  const worker = await start(SHAPE);
  const abort = new AbortController();
  const cancelled = generate(
    worker,
    testSpec(homedRoute(worker, 3), { promptIds: promptOf(400), maxTokens: 50 }),
    abort.signal,
  );
  // When the coda runs for the second time, its first run has been settled.
  const codas = () => worker.engine.batches.filter(({ stack }) => stack === 'coda').length;
  while (codas() < 2) await worker.client.describe();
  abort.abort();
  await assert.rejects(cancelled, { code: 'CANCELLED' });
  await whenEmpty(worker);
  const cached = await cachedTokens(worker, { promptIds: promptOf(400) });
  assert.ok(cached > 0 && cached % 16 === 0, `${cached} positions`);
});

test('prompt log probabilities, staged routes and a cache that is off compute every row', async () => {
  const [worker, other, off] = [
    await start(SHAPE),
    await start(SHAPE),
    await start(SHAPE, { prefixCache: false }),
  ];
  const promptIds = promptOf(70);
  for (let round = 0; round < 2; round++) {
    assert.equal(await cachedTokens(worker, { promptIds, promptLogprobs: true }), 0);
    assert.equal(await cachedTokens(off, { promptIds }), 0);
    const staged = await generate(worker, testSpec(stagedRoute([worker, other], 3), { promptIds }));
    assert.equal(staged.cachedTokens, 0);
  }
  assert.equal(await cachedTokens(worker, { promptIds }), 0);
  assert.equal(await cachedTokens(worker, { promptIds, promptLogprobs: true }), 0, 'though they are there');
});

test('metrics tell what was looked for and found, and where the pages are', async () => {
  const worker = await start(SHAPE, { name: 'robin' });
  for (let round = 0; round < 2; round++)
    await cachedTokens(worker, { promptIds: promptOf(40), maxTokens: 2 });
  await whenEmpty(worker);
  const text = await worker.metrics.render();
  assert.match(text, /rondo_prefix_cache_queries_total\{worker="robin"\} 80\b/);
  assert.match(text, /rondo_prefix_cache_hits_total\{worker="robin"\} 32\b/);
  assert.match(text, /rondo_kv_pages\{state="used",worker="robin"\} 0\b/);
  // Two page sets: one page in the prelude, three in the block and one in the coda.
  assert.match(text, /rondo_kv_pages\{state="cached",worker="robin"\} 10\b/);
  assert.match(text, /rondo_kv_pages\{state="free",worker="robin"\} 310\b/);
});
