import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunCosts } from './run-costs.ts';

const runsOf = (costs: RunCosts, rows: number, stepMs: number, count = 1) => {
  for (let run = 0; run < count; run++) costs.ran({ phase: 'block', rows, stepMs });
};

test('costs of a run and of a row are known from two sizes of the block’s runs on', () => {
  const costs = new RunCosts();
  runsOf(costs, 16, 40);
  runsOf(costs, 17, 42);
  costs.ran({ phase: 'coda', rows: 64, stepMs: 9 });
  assert.equal(costs.block, undefined);
  runsOf(costs, 2, 12);
  const { fixedMs, rowMs } = costs.block!;
  assert.ok(Math.abs(fixedMs - 8) < 1e-9 && Math.abs(rowMs - 2) < 1e-9, `${fixedMs} ${rowMs}`);
});

test('costs follow the newest runs, and sizes that no longer come keep what they took', () => {
  const costs = new RunCosts();
  for (const rows of [2, 16, 64]) runsOf(costs, rows, 8 + 2 * rows);
  runsOf(costs, 2, 6, 60);
  runsOf(costs, 16, 20, 60);
  const { fixedMs, rowMs } = costs.block!;
  assert.ok(fixedMs < 5 && rowMs < 1.9 && rowMs > 1, `${fixedMs} ${rowMs}`);
});

test('neither cost is negative', () => {
  const costs = new RunCosts();
  runsOf(costs, 2, 10);
  runsOf(costs, 32, 5);
  assert.ok(costs.block!.rowMs === 0 && costs.block!.fixedMs > 0);
  const steep = new RunCosts();
  runsOf(steep, 1, 1);
  runsOf(steep, 32, 64);
  assert.ok(steep.block!.fixedMs === 0 && steep.block!.rowMs > 1);
});
