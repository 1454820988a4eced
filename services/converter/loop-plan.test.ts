import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import type { ModelSpec } from './checkpoint.ts';
import { planLoop, sourceLayer } from './loop-plan.ts';

const model = { architecture: 'llama', layers: 6 } as ModelSpec;
const ouro = {
  ...model,
  architecture: 'ouro',
  loop: { passes: 4, normAfterPass: true, gate: true, exitThreshold: 1 },
} as ModelSpec;

test('without options the whole model is the block and runs once', () => {
  const plan = planLoop(model, {});
  assert.deepEqual([plan.prelude, plan.block, plan.coda], [[], [0, 1, 2, 3, 4, 5], []]);
  assert.equal(plan.maxDepth, 1);
});

test('layers around the looped ones become prelude and coda', () => {
  const plan = planLoop(model, { loopLayers: { first: 1, last: 3 }, loops: 4, damping: 0.25 });
  assert.deepEqual([plan.prelude, plan.block, plan.coda], [[0], [1, 2, 3], [4, 5]]);
  assert.deepEqual([plan.maxDepth, plan.damping], [4, 0.25]);
});

test('a natively looped model keeps its passes unless told otherwise', () => {
  assert.equal(planLoop(ouro, {}).maxDepth, 4);
  assert.equal(planLoop(ouro, { loops: 2 }).maxDepth, 2);
  assert.equal(planLoop(ouro, {}).normAfterPass, true);
});

test('impossible loops are refused with the option, its value and what would fit', () => {
  const refused = (options: Parameters<typeof planLoop>[1], pattern: RegExp) =>
    assert.throws(() => planLoop(model, options), { code: 'CONFIG_INVALID', message: pattern });
  refused({ loops: 2 }, /--loops 2 needs --loop-layers.*0-5/);
  refused({ loops: 0 }, /--loops 0/);
  refused({ loopLayers: { first: 4, last: 6 }, loops: 2 }, /--loop-layers 4-6.*0-5/);
  refused({ loopLayers: { first: 3, last: 1 }, loops: 2 }, /--loop-layers 3-1/);
  refused({ loopLayers: { first: 1, last: 2 }, loops: 2, damping: 1.5 }, /--loop-damping 1.5/);
  assert.throws(() => planLoop(ouro, { loopLayers: { first: 0, last: 1 } }), { message: /looped already/ });
  assert.throws(() => planLoop(ouro, { init: 'average' }), { message: /looped already/ });
});

test('a tied layer stands for every K-th layer of what the kept ones leave, and the kept ones for themselves', () => {
  const plan = planLoop({ ...model, layers: 9 }, { loops: 3, init: 'average', keepFirst: 2, keepLast: 1 });
  assert.deepEqual([plan.prelude, plan.block, plan.coda, plan.maxDepth], [[0, 1], [2, 3], [4], 3]);
  assert.deepEqual(plan.tied?.sources, [
    [2, 4, 6],
    [3, 5, 7],
  ]);
  const stoodFor = (depth: number) => [0, 1, 2, 3, 4].map((layer) => sourceLayer(plan, layer, depth));
  assert.deepEqual(
    [stoodFor(0), stoodFor(2)],
    [
      [0, 1, 2, 3, 8],
      [0, 1, 6, 7, 8],
    ],
  );
});

test('stepwise keeps the first and the last layer and equal steps between them, lower the first ones', () => {
  const kept = (layers: number, loops: number, init: 'stepwise' | 'lower', keepFirst = 0) =>
    planLoop({ ...model, layers }, { loops, init, keepFirst }).tied?.kept;
  // 1, 3, 5, 7, 9, 11, 13, 15, 18 of Gemma's 18 layers in Bae et al. 2024, figure F.1, counted from 1.
  assert.deepEqual(kept(18, 2, 'stepwise'), [0, 2, 4, 6, 8, 10, 12, 14, 17]);
  assert.deepEqual(kept(6, 3, 'stepwise'), [0, 5]);
  assert.deepEqual(kept(7, 3, 'stepwise', 1), [1, 6]);
  assert.deepEqual(kept(4, 4, 'stepwise'), [0]);
  assert.deepEqual(kept(7, 3, 'lower', 1), [1, 2]);
});

test('layers that the loops do not divide are refused with the loops and the kept layers that would fit', () => {
  const refused = (options: Parameters<typeof planLoop>[1], pattern: RegExp) =>
    assert.throws(() => planLoop({ ...model, layers: 30 }, options), {
      code: 'CONFIG_INVALID',
      message: pattern,
    });
  refused({ init: 'average', loops: 4 }, /--loops 4 does not divide the 30 layers/);
  refused({ init: 'average', loops: 4 }, /--loops 2, 3, 5, 6, 10, 15, 30 would fit 30 layers/);
  refused(
    { init: 'average', loops: 4 },
    /--keep-first 1 --keep-last 1 \(a block of 7\) or --keep-first 2 --keep-last 0 \(a block of 7\)/,
  );
  refused(
    { init: 'lower', loops: 3, keepFirst: 1 },
    /--keep-first 1.*--loops 29 .*--keep-first 2 --keep-last 1/,
  );
  refused({ init: 'lower', loops: 3, keepFirst: 20, keepLast: 9 }, /--keep-first 0 --keep-last 0/);
  refused({ init: 'lower', loops: 31 }, /--loops 31 is more than the model has layers/);
});

test('tying and repeating layers exclude each other, and options of the one say so without it', () => {
  const refused = (options: Parameters<typeof planLoop>[1], pattern: RegExp) =>
    assert.throws(() => planLoop(model, options), { code: 'CONFIG_INVALID', message: pattern });
  const loopLayers = { first: 1, last: 2 };
  refused({ init: 'average', loops: 2, loopLayers }, /--init average does not go with --loop-layers/);
  refused({ init: 'average', loops: 2, damping: 0.5 }, /--init average does not go with --loop-damping/);
  refused({ init: 'average' }, /--init average needs --loops/);
  refused({ loops: 2, loopLayers, keepFirst: 1 }, /--keep-first 1: only with --init/);
  refused({ loops: 2, init: 'lower', initNorms: 'zero' }, /--init-norms zero: only with --init average/);
  refused({ loops: 2, init: 'lower', initSeed: 3 }, /--init-seed 3: only with --init random/);
});

test('more passes than any part keeps room for are refused with the limit', () => {
  const loopLayers = { first: 1, last: 2 };
  assert.equal(planLoop(model, { loops: LIMITS.passesMax, loopLayers }).maxDepth, LIMITS.passesMax);
  for (const options of [{ loopLayers }, { init: 'lower' as const }, {}]) {
    assert.throws(() => planLoop(model, { ...options, loops: 1_000_000 }), {
      code: 'CONFIG_INVALID',
      message: /--loops 1000000: a model has at most 256 passes \(passesMax\)/,
    });
  }
});
