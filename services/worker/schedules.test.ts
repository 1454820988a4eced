import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type ExitRule, type GenerateSpec, mustStayHomed, type Route } from '@rondo/core';
import fc from 'fast-check';
import type { StepPolicy } from './step-policy.ts';
import {
  homedRoute,
  stagedRoute,
  startTestWorker,
  type TestWorker,
  testSpec,
  whenEmpty,
} from './test-cluster.ts';
import { agrees } from './test-fleet.ts';
import { generateAlone, type TestShape } from './test-model.ts';

/** Room for the twelve longest visits: refusals have their own test. */
const pools = { prelude: 133, block: 397, coda: 133 };

const SETTINGS: readonly { shape: TestShape; policy: StepPolicy; stateSlots?: number }[] = [
  { shape: { prelude: 1, coda: 1, maxDepth: 3, kvPolicy: 'last-exited' }, policy: 'depth' },
  { shape: { prelude: 1, coda: 1, maxDepth: 3, kvPolicy: 'propagate' }, policy: 'depth' },
  { shape: { prelude: 1, coda: 1, maxDepth: 3, kvPolicy: 'catch-up' }, policy: 'depth' },
  { shape: { prelude: 0, coda: 0, maxDepth: 3, kvPolicy: 'catch-up' }, policy: 'depth' },
  { shape: { prelude: 1, coda: 1, maxDepth: 3, kvPolicy: 'last-exited' }, policy: 'together' },
  { shape: { prelude: 0, coda: 1, maxDepth: 3, kvPolicy: 'catch-up' }, policy: 'sequence' },
  { shape: { prelude: 1, coda: 0, maxDepth: 3, kvPolicy: 'propagate' }, policy: 'static' },
  // States that stay in the engine, with room for all of them and for some.
  {
    shape: { prelude: 1, coda: 1, maxDepth: 3, kvPolicy: 'last-exited' },
    ...{ policy: 'depth', stateSlots: 4096 },
  },
  { shape: { prelude: 0, coda: 0, maxDepth: 3, kvPolicy: 'catch-up' }, policy: 'depth', stateSlots: 70 },
  { shape: { prelude: 0, coda: 1, maxDepth: 3, kvPolicy: 'catch-up' }, policy: 'sequence', stateSlots: 300 },
];

const placesOf = (first: TestWorker, second: TestWorker): readonly (readonly [TestWorker, Route])[] => [
  [first, homedRoute(first, 3)],
  [second, homedRoute(second, 3)],
  [first, stagedRoute([first, second], 3)],
  [second, stagedRoute([second, first], 3)],
];

const EXITS: readonly ExitRule[] = [
  { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 3 },
  { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 3 },
  { policy: 'gate', threshold: 0.7, minDepth: 1, maxDepth: 3 },
  { policy: 'latent-diff', threshold: 0.9, minDepth: 1, maxDepth: 3 },
  { policy: 'confidence', threshold: 0.15, minDepth: 1, maxDepth: 3 },
  { policy: 'replay', threshold: 0, minDepth: 1, maxDepth: 3, depths: [1, 1, 3, 2, 1] },
];

const visit = fc.record({
  place: fc.nat(3),
  promptRows: fc.integer({ min: 1, max: 150 }),
  maxTokens: fc.integer({ min: 1, max: 25 }),
  minDepth: fc.integer({ min: 1, max: 3 }),
  temperature: fc.constantFrom(0, 0.8, 1),
  seed: fc.nat(1000),
  /** Few beginnings, so that some share pages. */
  beginning: fc.nat(2),
  exit: fc.constantFrom<ExitRule>(...EXITS),
  promptLogprobs: fc.boolean(),
  /** Turns of the event loop before it comes. */
  delay: fc.nat(40),
  /** Tokens after which the caller leaves. */
  patience: fc.option(fc.nat(12)),
});

type Visit = typeof visit extends fc.Arbitrary<infer Value> ? Value : never;

const maysExit = (of: Visit, { kvPolicy = 'last-exited' }: TestShape, route: Route): boolean =>
  route.stages.length === 1 || !mustStayHomed(of.exit, kvPolicy, 3);

function specOf(of: Visit, shape: TestShape, route: Route): GenerateSpec {
  return testSpec(route, {
    promptIds: Array.from({ length: of.promptRows }, (_, index) => (index * 11 + of.beginning) % 32),
    maxTokens: of.maxTokens,
    promptLogprobs: of.promptLogprobs,
    sampling: { ...testSpec(route).sampling, temperature: of.temperature, seed: of.seed },
    exit: maysExit(of, shape, route)
      ? { ...of.exit, minDepth: of.minDepth }
      : { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 3 },
  });
}

async function comes(of: Visit, shape: TestShape, home: TestWorker, route: Route): Promise<void> {
  for (let turn = 0; turn < of.delay; turn++) await setImmediate();
  const spec = specOf(of, shape, route);
  if (of.patience === null) {
    await agrees(home, shape, spec);
    return;
  }
  const expected = generateAlone(shape, spec);
  let tokens = 0;
  for await (const event of home.client.generate(spec, new AbortController().signal)) {
    if (event.type === 'token') assert.equal(event.id, expected.ids[tokens++]);
    if (tokens === of.patience) break;
  }
}

for (const { shape, policy, stateSlots } of SETTINGS) {
  test(`whatever comes, waits, exits early, is staged or leaves: each gets what it gets alone (${shape.kvPolicy}, ${policy}, ${shape.prelude} + loop + ${shape.coda}${stateSlots ? `, ${stateSlots} states stay` : ''})`, async () => {
    const stays = stateSlots !== undefined && { stateSlots };
    const workers = await Promise.all([
      startTestWorker(shape, { pools, policy, ...stays }),
      startTestWorker(shape, { pools, policy }),
    ]);
    const places = placesOf(...(workers as [TestWorker, TestWorker]));
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 12 }), async (visits) => {
          const outcomes = await Promise.allSettled(
            visits.map((of) => comes(of, shape, ...places[of.place]!)),
          );
          await Promise.all(workers.map(whenEmpty));
          for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
        }),
        { numRuns: 12 },
      );
      if (stateSlots) assert.ok(workers[0]!.engine.slotRows.written > 0);
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
    }
  });
}
