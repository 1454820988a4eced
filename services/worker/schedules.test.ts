import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { GenerateSpec, Route } from '@rondo/core';
import fc from 'fast-check';
import {
  generate,
  homedRoute,
  stagedRoute,
  startTestWorker,
  type TestWorker,
  testSpec,
  whenEmpty,
} from './test-cluster.ts';
import { generateAlone, type TestShape } from './test-model.ts';

const SHAPE: TestShape = { prelude: 1, coda: 1, maxDepth: 3 };

/** Room for the twelve longest visits: refusals have their own test. */
const pools = { prelude: 133, block: 397, coda: 133 };
const workers = await Promise.all([startTestWorker(SHAPE, { pools }), startTestWorker(SHAPE, { pools })]);
after(() => Promise.all(workers.map((worker) => worker.stop())));
const [first, second] = workers as [TestWorker, TestWorker];

const PLACES: readonly (() => [TestWorker, Route])[] = [
  () => [first, homedRoute(first, 3)],
  () => [second, homedRoute(second, 3)],
  () => [first, stagedRoute([first, second], 3)],
  () => [second, stagedRoute([second, first], 3)],
];

const visit = fc.record({
  place: fc.nat(PLACES.length - 1),
  promptRows: fc.integer({ min: 1, max: 150 }),
  maxTokens: fc.integer({ min: 1, max: 25 }),
  minDepth: fc.integer({ min: 1, max: 3 }),
  temperature: fc.constantFrom(0, 0.8, 1),
  seed: fc.nat(1000),
  promptLogprobs: fc.boolean(),
  /** Turns of the event loop before it comes. */
  delay: fc.nat(40),
  /** Tokens after which the caller leaves. */
  patience: fc.option(fc.nat(12)),
});

type Visit = typeof visit extends fc.Arbitrary<infer Value> ? Value : never;

function specOf(of: Visit): [TestWorker, GenerateSpec] {
  const [home, route] = PLACES[of.place]!();
  const staged = route.stages.length > 1;
  const spec = testSpec(route, {
    promptIds: Array.from({ length: of.promptRows }, (_, index) => (index * 11 + of.seed) % 32),
    maxTokens: of.maxTokens,
    promptLogprobs: of.promptLogprobs,
    sampling: { ...testSpec(route).sampling, temperature: of.temperature, seed: of.seed },
    exit: staged
      ? { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 3 }
      : { policy: 'gate', threshold: 0.7, minDepth: of.minDepth, maxDepth: 3 },
  });
  return [home, spec];
}

async function comes(of: Visit): Promise<void> {
  for (let turn = 0; turn < of.delay; turn++) await setImmediate();
  const [home, spec] = specOf(of);
  const expected = generateAlone(SHAPE, spec, spec.route.stages.length === 1);
  if (of.patience === null) {
    const {
      promptPasses: _,
      generatedPasses: __,
      cachedTokens: ___,
      ...outcome
    } = await generate(home, spec);
    assert.deepEqual(outcome, expected);
    return;
  }
  let tokens = 0;
  for await (const event of home.client.generate(spec, new AbortController().signal)) {
    if (event.type === 'token') assert.equal(event.id, expected.ids[tokens++]);
    if (tokens === of.patience) break;
  }
}

test('whatever comes, waits, exits early, is staged or leaves: each gets what it gets alone, and all pages return', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 12 }), async (visits) => {
      const outcomes = await Promise.allSettled(visits.map(comes));
      await Promise.all(workers.map(whenEmpty));
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    }),
    { numRuns: 25 },
  );
});
