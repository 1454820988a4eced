import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { generate, homedRoute, testSpec, whenEmpty } from './test-cluster.ts';
import { agrees, promptOf, TestFleet } from './test-fleet.ts';
import type { TestShape } from './test-model.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 3 };
const LOOP_ONLY: TestShape = { prelude: 0, coda: 0, maxDepth: 4 };

const fleet = new TestFleet();
after(() => fleet.stopAll());
const start: TestFleet['start'] = (...args) => fleet.start(...args);

test('a sequence gives the tokens of the model run row by row', async () => {
  for (const shape of [SHAPE, LOOP_ONLY]) {
    const worker = await start(shape);
    for (const length of [1, 15, 16, 17, 33]) {
      await agrees(
        worker,
        shape,
        testSpec(homedRoute(worker, shape.maxDepth), { promptIds: promptOf(length), maxTokens: 20 }),
      );
    }
    await whenEmpty(worker);
  }
});

test('the head runs in the call of the last stack: a token by itself takes no more', async () => {
  for (const shape of [SHAPE, LOOP_ONLY]) {
    const worker = await start(shape);
    await agrees(worker, shape, testSpec(homedRoute(worker, shape.maxDepth), { maxTokens: 5 }));
    assert.equal(worker.engine.headCalls, 0);
    const asked = worker.engine.batches.flatMap(({ stack, head }) => (head ? [stack] : []));
    assert.deepEqual(asked, Array(5).fill(shape.coda > 0 ? 'coda' : 'block'));
  }
});

test('a prompt of several chunks gives the same tokens as the model run row by row', async () => {
  const worker = await start(SHAPE);
  const spec = testSpec(homedRoute(worker, 3), { promptIds: promptOf(201), maxTokens: 3 });
  await agrees(worker, SHAPE, spec);
  const chunks = worker.engine.batches
    .filter((batch) => batch.stack === 'prelude')
    .map((batch) => batch.rowCounts[0]);
  assert.deepEqual(chunks, [64, 64, 64, 9, 1, 1]);
});

test('sequences that run together give what each gives alone, and share steps at mixed depths', async () => {
  const worker = await start(SHAPE);
  const specs = Array.from({ length: 12 }, (_, index) =>
    testSpec(homedRoute(worker, 3), {
      promptIds: promptOf(1 + index * 9, index),
      maxTokens: 10 + index,
      sampling: {
        ...testSpec(homedRoute(worker, 3)).sampling,
        temperature: index % 3,
        seed: index,
        topP: index % 2 ? 0.9 : 1,
      },
      exit: { policy: 'replay', threshold: 0, minDepth: 1, maxDepth: 3, depths: [1, 3, 2].slice(index % 2) },
    }),
  );
  await Promise.all(specs.map((spec) => agrees(worker, SHAPE, spec)));
  const block = worker.engine.batches.filter((batch) => batch.stack === 'block');
  assert.ok(
    block.some((batch) => batch.starts.length > 4),
    'no step held rows of more than four sequences',
  );
  assert.ok(
    block.some((batch) => new Set(batch.depths).size > 1),
    'no step mixed depths',
  );
  await whenEmpty(worker);
});

test('rows that exit early spend fewer passes, and deeper passes read the K/V of the exit depth', async () => {
  const worker = await start(SHAPE);
  for (const exit of [
    { policy: 'gate', threshold: 0.8, minDepth: 1, maxDepth: 3 },
    { policy: 'latent-diff', threshold: 0.6, minDepth: 1, maxDepth: 3 },
    { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 1 },
    { policy: 'gate', threshold: 0.5, minDepth: 2, maxDepth: 2 },
  ] as const) {
    const specs = [5, 14, 70].map((length) =>
      testSpec(homedRoute(worker, 3), { promptIds: promptOf(length), maxTokens: 40, exit }),
    );
    await Promise.all(specs.map((spec) => agrees(worker, SHAPE, spec)));
  }
  const spec = testSpec(homedRoute(worker, 3), {
    maxTokens: 40,
    exit: { policy: 'gate', threshold: 0.8, minDepth: 1, maxDepth: 3 },
  });
  const { passes, promptPasses, generatedPasses } = await generate(worker, spec);
  assert.deepEqual([...new Set(passes)].sort(), [1, 2, 3], 'the rule should let rows leave at every depth');
  assert.equal(promptPasses, 9, 'prompt rows run every pass');
  assert.equal(
    passes[0]! + generatedPasses,
    passes.reduce((sum, count) => sum + count),
  );
  assert.ok(worker.engine.batches.some((batch) => batch.copies.length > 0));
  await whenEmpty(worker);
});

test('a row that the head is sure of leaves the loop once, also when its draw asks for all logits', async () => {
  for (const kvPolicy of ['last-exited', 'propagate', 'catch-up'] as const) {
    const shape: TestShape = { prelude: 1, coda: 0, maxDepth: 3, kvPolicy };
    const worker = await start(shape);
    const route = homedRoute(worker, 3);
    for (let seed = 0; seed < 12; seed++) {
      const spec = testSpec(route, {
        promptIds: [0],
        maxTokens: 8,
        sampling: { ...testSpec(route).sampling, temperature: 1, seed },
        exit: { policy: 'confidence', threshold: 0.15, minDepth: 1, maxDepth: 3 },
      });
      await agrees(worker, shape, spec);
    }
    assert.ok(worker.engine.logitRuns > 0);
    await whenEmpty(worker);
  }
});

test('prompt log probabilities are those of the prompt, with or without a continuation', async () => {
  const worker = await start(SHAPE);
  for (const [length, maxTokens] of [
    [1, 2],
    [1, 0],
    [2, 0],
    [64, 0],
    [65, 0],
    [130, 4],
  ] as const) {
    const spec = testSpec(homedRoute(worker, 3), {
      promptIds: promptOf(length),
      maxTokens,
      promptLogprobs: true,
      topLogprobs: 2,
    });
    await agrees(worker, SHAPE, spec);
  }
  const nothing = await generate(worker, testSpec(homedRoute(worker, 3), { maxTokens: 0 }));
  assert.equal(nothing.reason, 'length');
  await whenEmpty(worker);
});

test('a stop id ends the sequence as its last token, and only when it is asked for', async () => {
  const worker = await start(SHAPE);
  const free = await generate(worker, testSpec(homedRoute(worker, 3)));
  const stop = free.ids[3]!;
  const first = free.ids.indexOf(stop);
  const stopped = await generate(worker, testSpec(homedRoute(worker, 3), { stopIds: [stop] }));
  assert.equal(stopped.reason, 'stop');
  assert.deepEqual(stopped.ids, free.ids.slice(0, first + 1));
});

test('a sequence ends at the end of the context', async () => {
  const worker = await start(SHAPE);
  const spec = testSpec(homedRoute(worker, 3), { promptIds: promptOf(505), maxTokens: 100 });
  const { ids, reason } = await generate(worker, spec);
  assert.equal(ids.length, 7);
  assert.equal(reason, 'length');
  await whenEmpty(worker);
});

test('penalties and log probabilities reach the sampler with the whole history', async () => {
  const worker = await start(SHAPE);
  const base = testSpec(homedRoute(worker, 3)).sampling;
  for (const sampling of [
    { ...base, frequencyPenalty: 0.6, presencePenalty: 0.4 },
    { ...base, repetitionPenalty: 1.3, temperature: 0.8 },
    { ...base, logitBias: new Map([[9, 4]]), temperature: 1 },
    // Candidates usually do here, and now and then do not: the head runs again for such a row.
    { ...base, temperature: 1.5, minP: 0.02 },
    { ...base, temperature: 1 },
  ]) {
    await agrees(worker, SHAPE, testSpec(homedRoute(worker, 3), { maxTokens: 30, sampling, topLogprobs: 3 }));
  }
});
