import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExitRule } from '@rondo/core';
import { type ContextNeed, contextRoom } from './context-room.ts';
import { tinyBundle } from './test-bundle.ts';
import { testCoordinator } from './test-coordinator.ts';
import { ScriptedWorker } from './test-worker.ts';
import { type BudgetDemand, tokenBudget } from './token-budget.ts';

const budget = (changes: Partial<BudgetDemand>) =>
  tokenBudget({
    promptParam: 'prompt',
    promptTokens: 10,
    maxTokensParam: 'max_tokens',
    maxTokens: undefined,
    otherwise: 16,
    context: { most: 100, usual: 100, together: 100 },
    ...changes,
  });

const full: ExitRule = { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 4 };
const early: ExitRule = { ...full, maxDepth: 3 };
const need = {
  context: 100,
  maxDepth: 4,
  pagePositions: 4,
  layersAtHome: false,
  exit: full,
  kvPolicy: 'last-exited',
} as const;
const room = (
  placement: ContextNeed['placement'],
  workers: readonly number[],
  changes: Partial<ContextNeed> & { readonly here?: readonly number[] } = {},
) => {
  const { here, ...others } = changes;
  return contextRoom({ ...need, placement, ...others }, workers, here);
};

test('a homed sequence is bounded by the largest worker, a staged one by what all hold together', () => {
  assert.deepEqual(room('homed', [40, 60]), { most: 60, usual: 60, together: 60 });
  // 80 positions: two of four depths on the smaller worker, three at most on the larger.
  assert.deepEqual(room('staged', [40, 60]), { most: 80, usual: 60, together: 80 });
  assert.deepEqual(room('auto', [60, 60]), { most: 100, usual: 60, together: 100 });
  const whole = { most: 60, usual: 60, together: 60 };
  assert.deepEqual(room('auto', [60, 60], { layersAtHome: true }), whole);
  assert.deepEqual(room('homed', [4000]), { most: 100, usual: 100, together: 100 });
  assert.deepEqual(room('auto', []), { most: 100, usual: 100, together: 100 });
});

test('a sequence that its exit rule keeps at home is bounded by the largest worker, too', () => {
  const whole = { most: 60, usual: 60, together: 60 };
  for (const placement of ['auto', 'staged'] as const) {
    assert.deepEqual(room(placement, [60, 60], { exit: early }), whole);
    assert.equal(room(placement, [60, 60], { exit: early, kvPolicy: 'catch-up' }).most, 100);
    const confidence: ExitRule = { ...full, policy: 'confidence' };
    assert.deepEqual(room(placement, [60, 60], { exit: confidence, kvPolicy: 'catch-up' }), whole);
  }
});

test('what must be whole and fits no worker is refused at the door, though all together would hold it', {
  timeout: 20_000,
}, async (context) => {
  const workers = {
    'a:1': new ScriptedWorker({ id: 'a', positions: 60 }),
    'b:1': new ScriptedWorker({ id: 'b', positions: 60 }),
  };
  const bundle = await tinyBundle({ layers: { prelude: 0, block: 3, coda: 0 } });
  const { post, get } = await testCoordinator(context, { bundle, workers, placement: 'auto' });
  assert.equal((await get('/v1/models/tiny')).body.max_model_len, 112);
  const ask = { model: 'tiny', prompt: Array(10).fill(1), max_tokens: 80 };
  for (const whole of [{ max_depth: 1 }, { placement: 'homed' }]) {
    const { status, body } = await post('/v1/completions', { ...ask, ...whole });
    assert.equal(status, 400, JSON.stringify(whole));
    assert.equal(body.error.code, 'context_length_exceeded');
    assert.equal(body.error.param, 'max_tokens');
    assert.match(body.error.message, /at most 50 fit/);
  }
  const fits = await post('/v1/completions', { ...ask, placement: 'homed', max_tokens: 50 });
  assert.equal(fits.status, 200);
});

test('a request that asks to be staged may have what all hold together, also where others are homed', async (context) => {
  const workers = {
    'a:1': new ScriptedWorker({ id: 'a', positions: 60 }),
    'b:1': new ScriptedWorker({ id: 'b', positions: 60 }),
  };
  const bundle = await tinyBundle({ layers: { prelude: 0, block: 3, coda: 0 } });
  const { post } = await testCoordinator(context, { bundle, workers, placement: 'homed' });
  const prompt = '<|start|>'.repeat(100);
  const ask = { model: 'tiny', prompt, max_tokens: 13, placement: 'staged' };
  const { body } = await post('/v1/completions', ask);
  assert.match(body.error.message, /context of 112; at most 12 fit/);
});

test('who says nothing gets what a worker that is there can hold; who asks may ask for what one that is away could', () => {
  assert.deepEqual(room('homed', [40, 60], { here: [40] }), { most: 60, usual: 40, together: 40 });
  assert.deepEqual(room('auto', [60, 60], { here: [60] }), { most: 100, usual: 60, together: 60 });
  assert.deepEqual(room('homed', [40, 60], { here: [] }), { most: 60, usual: 60, together: 60 });
});

test('without a wish the answer takes its default or what is left', () => {
  assert.equal(budget({}), 16);
  assert.equal(budget({ promptTokens: 95 }), 5);
  assert.equal(budget({ otherwise: 1000, context: { most: 100, usual: 60, together: 100 } }), 50);
});

test('without a wish an answer that one worker leaves no room for gets what all that are there hold', () => {
  const context = { most: 200, usual: 60, together: 100 };
  const otherwise = 1000;
  assert.equal(budget({ promptTokens: 70, otherwise, context }), 30);
  assert.equal(budget({ promptTokens: 60, otherwise, context }), 40);
  // Where one leaves room for a short answer the sequence stays whole.
  assert.equal(budget({ promptTokens: 44, otherwise, context }), 16);
  assert.equal(budget({ promptTokens: 45, otherwise, context }), 55);
  assert.equal(budget({ promptTokens: 58, otherwise: 2, context }), 2);
  // Only with those that are away is there any.
  assert.equal(budget({ promptTokens: 150, otherwise, context }), 50);
  // What must be whole takes the little that is left.
  assert.equal(budget({ promptTokens: 58, otherwise, context: { most: 60, usual: 60, together: 60 } }), 2);
});

test('prompt and answer may fill the context to the last position, and no further', () => {
  assert.equal(budget({ maxTokens: 90 }), 90);
  assert.throws(() => budget({ maxTokens: 91 }), { code: 'CONTEXT_LENGTH_EXCEEDED', param: 'max_tokens' });
  assert.throws(() => budget({ promptTokens: 100 }), { code: 'CONTEXT_LENGTH_EXCEEDED', param: 'prompt' });
});

test('a prompt that only wants to be scored may fill the context', () => {
  assert.equal(budget({ promptTokens: 100, maxTokens: 0 }), 0);
  assert.throws(() => budget({ promptTokens: 101, maxTokens: 0 }), { param: 'prompt' });
});
