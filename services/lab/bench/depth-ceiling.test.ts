import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ceilingOf } from './depth-ceiling.ts';

const costs = { headMs: 0.5, stacksMs: 0.5, passMs: 2 };
const rows = { prompt: 0.125, answer: 0.875 };

test('the ceiling is the time of a token that runs every pass by that of one of mean depth', () => {
  const answersOnly = { prompt: 0, answer: 1 };
  assert.equal(ceilingOf(costs, answersOnly, 2, 2), 1);
  assert.equal(ceilingOf(costs, answersOnly, 2, 1), 5 / 3);
  assert.equal(ceilingOf(costs, answersOnly, 2, 1.5), 5 / 4);
});

test('rows of a prompt run every pass, which lowers the ceiling', () => {
  assert.equal(ceilingOf(costs, rows, 2, 2), 1);
  assert.equal(ceilingOf(costs, rows, 2, 1), 5 / (1 + 0.5 + 1.75));
});
