import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelSpec } from './checkpoint.ts';
import { planLoop } from './loop-plan.ts';

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
});
