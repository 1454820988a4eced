import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { type ScaleSample, scaleGoals, scaleRows } from './scale-report.ts';

const sample = (workers: number, tokensPerS: number, more: Partial<ScaleSample> = {}): ScaleSample => ({
  workers,
  clientsEach: 4,
  tokensPerS,
  failed: 0,
  coordinatorUsPerToken: 50,
  coordinatorCores: 0.1,
  workerCores: 0.1,
  loadCores: 0.1,
  machineCores: 0.4,
  queueMs: 1,
  gapP50Ms: 16,
  gapP99Ms: 20,
  ...more,
});

test('linear is what one worker of as many clients gives, and repeats count by their median', () => {
  const rows = scaleRows([sample(1, 90), sample(1, 100), sample(1, 250), sample(4, 384)]);
  assert.deepEqual(
    rows.map((row) => [row.workers, row['tokens/s'], row['of linear %']]),
    [
      [1, 100, 100],
      [4, 384, 96],
    ],
  );
});

test('rows where the coordinator or the machine is full do not count against linearity', () => {
  const rows = scaleRows([
    sample(1, 100),
    sample(4, 390),
    sample(16, 800, { machineCores: availableParallelism() }),
    sample(64, 900, { coordinatorCores: 0.95 }),
    sample(1, 800, { clientsEach: 32 }),
    sample(2, 1584, { clientsEach: 32 }),
  ]);
  assert.deepEqual(
    rows.map(({ full }) => full),
    ['', '', 'machine', 'coordinator', '', ''],
  );
  const [linear, full] = scaleGoals(rows);
  assert.deepEqual([linear!.measured, linear!.met], [97.5, true]);
  assert.deepEqual([full!.measured, full!.met], ['900 tokens/s, 64 workers of 4 clients', true]);
});

test('a coordinator that never was full is said to be so, with what its time per token would allow', () => {
  const [, full] = scaleGoals(scaleRows([sample(1, 100), sample(64, 3000, { machineCores: 1000 })]));
  assert.equal(full!.met, false);
  assert.match(String(full!.measured), /not reached.* 3000 tokens\/s.*20000/);
});
