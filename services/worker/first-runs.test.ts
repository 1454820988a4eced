import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine, StackBatch, StackResult } from '@rondo/engine';
import { learnFromFirstRuns } from './first-runs.ts';
import { RunCosts } from './run-costs.ts';

const HIDDEN = 4;

/** Takes 5 + 2·rows ms, and ten times that at the first run. */
const engineThatWarmsUp = () => {
  const batches: StackBatch[] = [];
  const runStack = async (batch: StackBatch): Promise<StackResult> => {
    batches.push(batch);
    const rows = batch.rowCounts.length;
    return {
      state: new Float32Array(rows * HIDDEN),
      runMs: (5 + 2 * rows) * (batches.length === 1 ? 10 : 1),
    };
  };
  return { batches, engine: { runStack } as unknown as Engine };
};

test('costs are known before the first request, whatever the first run took', async () => {
  const costs = new RunCosts();
  const { engine } = engineThatWarmsUp();
  await learnFromFirstRuns(engine, HIDDEN, costs);
  const { fixedMs, rowMs } = costs.block!;
  assert.ok(Math.abs(fixedMs - 5) < 1e-9 && Math.abs(rowMs - 2) < 1e-9, `${fixedMs} ${rowMs}`);
});

test('the first runs write to nobody’s page', async () => {
  const { batches, engine } = engineThatWarmsUp();
  await learnFromFirstRuns(engine, HIDDEN, new RunCosts());
  for (const { stack, input, pageTable } of batches) {
    assert.equal(stack, 'block');
    assert.ok(pageTable.every((page) => page === 0));
    assert.equal(input.length, pageTable.length * HIDDEN);
  }
});

test('an engine that cannot run the block fails before it serves', async () => {
  const engine = {
    runStack: () => Promise.reject(new Error('no kernel')),
  } as unknown as Engine;
  await assert.rejects(learnFromFirstRuns(engine, HIDDEN, new RunCosts()), /no kernel/);
});
