import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contextRoom } from './context-room.ts';
import { type BudgetDemand, tokenBudget } from './token-budget.ts';

const budget = (changes: Partial<BudgetDemand>) =>
  tokenBudget({
    promptParam: 'prompt',
    promptTokens: 10,
    maxTokensParam: 'max_tokens',
    maxTokens: undefined,
    otherwise: 16,
    context: { most: 100, usual: 100 },
    ...changes,
  });

test('a homed sequence is bounded by the largest worker, a staged one by what all hold together', () => {
  const need = { context: 100, maxDepth: 4, pagePositions: 4, layersAtHome: false };
  assert.deepEqual(contextRoom(need, 'homed', [40, 60]), { most: 60, usual: 60 });
  // 80 positions: two of four depths on the smaller worker, three at most on the larger.
  assert.deepEqual(contextRoom(need, 'staged', [40, 60]), { most: 80, usual: 60 });
  assert.deepEqual(contextRoom(need, 'auto', [60, 60]), { most: 100, usual: 60 });
  assert.deepEqual(contextRoom({ ...need, layersAtHome: true }, 'auto', [60, 60]), { most: 60, usual: 60 });
  assert.deepEqual(contextRoom(need, 'homed', [4000]), { most: 100, usual: 100 });
  assert.deepEqual(contextRoom(need, 'auto', []), { most: 100, usual: 100 });
});

test('who says nothing gets what a worker that is there can hold; who asks may ask for what one that is away could', () => {
  const need = { context: 100, maxDepth: 4, pagePositions: 4, layersAtHome: false };
  assert.deepEqual(contextRoom(need, 'homed', [40, 60], [40]), { most: 60, usual: 40 });
  assert.deepEqual(contextRoom(need, 'auto', [60, 60], [60]), { most: 100, usual: 60 });
  assert.deepEqual(contextRoom(need, 'homed', [40, 60], []), { most: 60, usual: 60 });
});

test('without a wish the answer takes its default or what is left', () => {
  assert.equal(budget({}), 16);
  assert.equal(budget({ promptTokens: 95 }), 5);
  assert.equal(budget({ otherwise: 1000, context: { most: 100, usual: 60 } }), 50);
  assert.equal(budget({ promptTokens: 70, context: { most: 100, usual: 60 } }), 1);
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
