import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '@rondo/bundle';
import { ManualClock } from '@rondo/core';
import type { StackBatch } from './engine.ts';
import { linearCosts, TimedEngine } from './timed-engine.ts';

const HIDDEN = 4;
const VOCAB = 10;

const manifest = {
  shape: { hidden: HIDDEN, heads: 1, kvHeads: 1, headDim: 4, vocab: VOCAB, context: 64 },
  layers: { prelude: 1, block: 1, coda: 1 },
  maxDepth: 2,
  exit: { policy: 'none', threshold: 0, minDepth: 1, signals: ['latent-diff'] },
  pagePositions: 16,
  headCandidates: 3,
  tokens: { eos: [5, 6] },
} as unknown as Manifest;

/** An engine whose sleeps end `late` milliseconds after they should, on a clock of its own. */
function engine({ late = 0, passMs = 2, rowMs = 0.5 } = {}) {
  const clock = new ManualClock();
  const slept: number[] = [];
  const sleep = async (ms: number) => {
    slept.push(ms);
    clock.advance(ms + late);
  };
  const costs = linearCosts({ passMs, rowMs });
  return { clock, slept, engine: new TimedEngine(manifest, { costs, kvBytes: 2 ** 20, clock, sleep }) };
}

const block = (...rowCounts: number[]): StackBatch => ({
  stack: 'block',
  input: new Float32Array(rowCounts.reduce((sum, rows) => sum + rows, 0) * HIDDEN),
  starts: new Int32Array(rowCounts.length),
  rowCounts: Int32Array.from(rowCounts),
  depths: new Int32Array(rowCounts.length),
  pageTable: Int32Array.from(rowCounts, (_, index) => index + 1),
  copies: [],
});

test('a run takes what the cost model says of its rows and gives zero states of the right shape', async () => {
  const timed = engine();
  const result = await timed.engine.runStack(block(1, 3));
  assert.equal(result.runMs, 2 + 4 * 0.5);
  assert.deepEqual(result.state, new Float32Array(4 * HIDDEN));
  assert.deepEqual(result.latentDiff, Float32Array.of(1, 1, 1, 1));
  assert.equal(result.gate, undefined);
  const prelude = await timed.engine.runStack({ ...block(2), stack: 'prelude', input: Int32Array.of(7, 8) });
  assert.equal(prelude.state.length, 2 * HIDDEN);
  assert.equal(prelude.latentDiff, undefined);
  assert.equal(prelude.runMs, 0);
});

test('runs queue: two asked for at once take the time of both', async () => {
  const timed = engine();
  await Promise.all([timed.engine.runStack(block(1)), timed.engine.runStack(block(2))]);
  assert.equal(timed.clock.now(), 2.5 + 3);
});

test('a run is under way while its caller does something else', async () => {
  const timed = engine();
  const running = timed.engine.runStack(block(2));
  timed.clock.advance(1);
  assert.equal((await running).runMs, 3);
  assert.deepEqual([timed.slept, timed.clock.now()], [[2], 3]);
});

test('late timers do not add up, and a long stall is not made up for', async () => {
  const coarse = engine({ late: 0.75 });
  for (let run = 0; run < 100; run++) await coarse.engine.runStack(block(2));
  assert.ok(coarse.clock.now() <= 100 * 3 + 0.75, `${coarse.clock.now()} ms for 300`);
  const stalled = engine({ late: 50 });
  await stalled.engine.runStack(block(2));
  await stalled.engine.runStack(block(2));
  assert.deepEqual(stalled.slept, [3, 2]);
});

test('the head chooses one token that ends nothing, with certainty, from candidates and from logits', async () => {
  const { engine: timed } = engine();
  const head = await timed.runHead({ state: new Float32Array(2 * HIDDEN), wantLogits: true });
  // 5 and 6, the middle of the vocabulary, are eos here.
  assert.deepEqual([...head.topIds], [7, 8, 9, 7, 8, 9]);
  for (const row of [0, 1]) {
    const logits = [...head.logits!.subarray(row * VOCAB, (row + 1) * VOCAB)];
    assert.equal(logits.indexOf(Math.max(...logits)), 7);
    assert.equal(head.logSumExp[row], Math.fround(Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0))));
    assert.ok(head.topLogits[row * 3]! > head.topLogits[row * 3 + 1]!);
  }
});

test('a closed engine runs nothing', async () => {
  const { engine: timed } = engine();
  await timed.close();
  await assert.rejects(async () => timed.runStack(block(1)), /closed/);
});

test('it sleeps by itself when nobody gives it a clock', async () => {
  const timed = new TimedEngine(manifest, { costs: linearCosts({ passMs: 1, rowMs: 0 }), kvBytes: 2 ** 20 });
  assert.equal(timed.description.provider, 'timed');
  assert.ok((await timed.runStack(block(1))).runMs > 0);
});
