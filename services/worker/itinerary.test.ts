import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, type ExitRule, type Route, type WorkerRef, workerId } from '@rondo/core';
import type { Chunk } from './chunk.ts';
import { depthsOf, leavesNext, nextWorkers, otherStageWorkers, stopInLoop } from './itinerary.ts';

const ref = (name: string): WorkerRef => ({ id: workerId(name), address: address(`${name}:1`) });
const [a, b, c] = [ref('a'), ref('b'), ref('c')];

/** Depths 0 on a, 1–2 on b, 3 on a again; home is c. */
const ROUTE: Route = {
  epoch: 1,
  home: c,
  stages: [
    { worker: a, depths: { first: 0, end: 1 } },
    { worker: b, depths: { first: 1, end: 3 } },
    { worker: a, depths: { first: 3, end: 4 } },
  ],
};

const stop = (self: WorkerRef, passes: number, codaLayers = 1) =>
  stopInLoop({ self: self.id, maxDepth: 4, codaLayers }, ROUTE, passes, false);

test('rows follow the stages and then go home', () => {
  assert.deepEqual(stop(c, 0), { at: 'peer', worker: a });
  assert.deepEqual(stop(a, 1), { at: 'peer', worker: b });
  assert.deepEqual(stop(b, 2), { at: 'here', phase: 'block' });
  assert.deepEqual(stop(b, 3), { at: 'peer', worker: a });
  assert.deepEqual(stop(a, 4), { at: 'peer', worker: c });
  assert.deepEqual(stop(c, 4), { at: 'here', phase: 'coda' });
  assert.deepEqual(stop(c, 4, 0), { at: 'here', phase: 'head' });
});

test('an exited row goes home from any depth', () => {
  const route: Route = { epoch: 1, home: a, stages: [{ worker: a, depths: { first: 0, end: 4 } }] };
  assert.deepEqual(stopInLoop({ self: 'a', maxDepth: 4, codaLayers: 0 }, route, 1, true), {
    at: 'here',
    phase: 'head',
  });
});

test('a worker knows its depths and whom it sends to', () => {
  assert.deepEqual(depthsOf(ROUTE, 'a'), [0, 3]);
  assert.deepEqual(depthsOf(ROUTE, 'c'), []);
  assert.deepEqual(otherStageWorkers(ROUTE, 'c'), [a, b]);
  assert.deepEqual(nextWorkers(ROUTE, 'c'), ['a:1', 'b:1']);
  assert.deepEqual(nextWorkers(ROUTE, 'a'), ['b:1', 'c:1', 'c:1', 'c:1']);
  assert.deepEqual(nextWorkers(ROUTE, 'b'), ['a:1', 'c:1']);
});

test('a row is known to leave with its last run: the coda, the deepest pass, or one that its rule ends at whatever comes', () => {
  const leaves = (
    phase: Chunk['phase'],
    passes: number,
    exit?: Partial<ExitRule>,
    codaLayers = 0,
    owed = 0,
  ): boolean => {
    const rule = exit && { policy: 'none', threshold: 0.5, minDepth: 1, maxDepth: 4, ...exit };
    const tenant = { kind: 'home', exitRule: () => rule, generatedRow: () => 1 };
    const chunk = { tenant, phase, passes, rows: 2, owed, survival: 1 } as unknown as Chunk;
    return leavesNext({ self: 'a', maxDepth: 4, codaLayers }, chunk);
  };
  assert.equal(leaves('block', 3), true);
  assert.equal(leaves('block', 2), false);
  assert.equal(leaves('block', 3, undefined, 1), false, 'coda layers are left');
  assert.equal(leaves('block', 3, undefined, 0, 1), true);
  assert.equal(leaves('block', 3, undefined, 0, 2), false, 'nobody waits for its rows');
  assert.equal(leaves('coda', 4, undefined, 1), true);
  assert.equal(leaves('prelude', 0), false);
  assert.equal(leaves('block', 1, { maxDepth: 2 }), true);
  assert.equal(leaves('block', 1, { policy: 'replay', depths: [4, 2] }), true);
  assert.equal(leaves('block', 1, { policy: 'replay', depths: [2, 4] }), false);
  for (const policy of ['gate', 'latent-diff', 'confidence'] as const)
    assert.equal(leaves('block', 1, { policy }), false, policy);
  const stage = { tenant: { kind: 'stage' }, phase: 'block', passes: 3 } as unknown as Chunk;
  assert.equal(leavesNext({ self: 'a', maxDepth: 4, codaLayers: 0 }, stage), false, 'its head is elsewhere');
});
