import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idealSpeedUp, type StagedSample, stagedGoals, stagedRows, UNMEASURED } from './staged-report.ts';

const sample = (change: Partial<StagedSample>): StagedSample => ({
  ...UNMEASURED,
  what: 'first token',
  placement: 'staged',
  workers: 4,
  promptTokens: 512,
  ...change,
});

const SAMPLES = [
  sample({ placement: 'homed', workers: 1, ms: 1100 }),
  sample({ ms: 500 }),
  sample({ what: 'prompts', placement: 'homed', tokensPerS: 10, idle: 0.01, idleMost: 0.02 }),
  sample({ what: 'prompts', tokensPerS: 9, idle: 0.03, idleMost: 0.04 }),
  sample({ what: 'decoding', placement: 'homed', tokensPerS: 200 }),
  sample({ what: 'decoding', tokensPerS: 150 }),
  sample({ what: 'decoding, exits', placement: 'homed', tokensPerS: 300 }),
  sample({ what: 'decoding, exits', tokensPerS: 270 }),
  sample({ what: 'hop', workers: 8, promptTokens: 32, ms: 1.8 }),
  sample({ what: 'hop', workers: 2, promptTokens: 32, ms: 0.8 }),
];

test('a pipeline of n stages is n times as fast but for filling it', () => {
  assert.equal(idealSpeedUp(512, 1), 1);
  assert.equal(idealSpeedUp(512, 4), 32 / 11);
  assert.ok(idealSpeedUp(16_384, 8) > 7.7);
});

test('staged rows are held against homed ones of their kind, goals against the least of them', () => {
  const rows = stagedRows(SAMPLES);
  assert.equal(rows[0]!['of ideal %'], '');
  assert.ok(Math.abs(Number(rows[1]!['of ideal %']) - (100 * 2.2 * 11) / 32) < 1e-9);
  assert.equal(rows[5]!['of ideal %'], 75);
  assert.equal(rows[8]!['of ideal %'], '');
  const goals = stagedGoals(rows, SAMPLES);
  assert.deepEqual(
    goals.map(({ met }) => met),
    [false, true, false, true, true],
  );
  assert.equal(goals[1]!.measured, 4);
});
