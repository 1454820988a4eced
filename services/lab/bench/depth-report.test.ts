import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadSummary } from '../load/load-summary.ts';
import { ceilingOf } from './depth-ceiling.ts';
import type { DepthFindings, DepthSample } from './depth-cells.ts';
import { type ExitMix, exitFields, plannedDepth } from './depth-exits.ts';
import { type BlockRuns, OUTPUT_TOKENS, PROMPT_TOKENS, workloadMeans } from './depth-load.ts';
import { depthGoals, depthNotes, depthRows } from './depth-report.ts';
import type { Policy } from './depth-server.ts';

const costs = { headMs: 0.5, stacksMs: 0.5, passMs: 2 };
const rows = { prompt: 0.125, answer: 0.875 };

test('a workload runs a row for every token of its prompts and answers but the last', () => {
  const { tokens, rows: perToken } = workloadMeans(7);
  assert.ok(tokens > OUTPUT_TOKENS.least && tokens < OUTPUT_TOKENS.most);
  assert.ok(Math.abs(perToken.answer - (1 - 1 / tokens)) < 1e-9);
  assert.ok(perToken.prompt > PROMPT_TOKENS.least / tokens && perToken.prompt < PROMPT_TOKENS.most / tokens);
});

test('recorded depths follow from the seed and leave after pass 1 as often as the mix says', () => {
  assert.deepEqual(exitFields('75 %', 3, 7, 0), exitFields('75 %', 3, 7, 0));
  assert.notDeepEqual(exitFields('75 %', 3, 7, 0), exitFields('75 %', 4, 7, 0));
  assert.deepEqual(exitFields('live', 0, 7, 0.5), { exit_policy: 'latent-diff', exit_threshold: 0.5 });
  for (const [mix, mean] of [
    ['50 %', 1.5],
    ['75 %', 1.25],
    ['90 %', 1.1],
  ] as const) {
    assert.ok(Math.abs(plannedDepth(mix, 7, 2)! - mean) < 0.015, mix);
  }
  assert.equal(plannedDepth('none', 7, 2), 2);
  assert.equal(plannedDepth('live', 7, 2), undefined);
});

const summary = (rate: number, p99 = 100): LoadSummary => ({
  ...{ sent: 1, ended: 1, refused: 0, failed: 0, tokens: 1, passesPerToken: 2 },
  tokensPerS: rate,
  steadyTokensPerS: rate,
  firstTokenMs: { p50: 1, p90: 1, p99: 1 },
  gapMs: { p50: 1, p90: 1, p99 },
  wholeMs: { p50: 1, p90: 1, p99: 1 },
});

const closed = (policy: Policy, mix: ExitMix, rate: number, runs: Partial<BlockRuns> = {}): DepthSample => ({
  ...({ policy, mix, loop: 'closed', load: 64, seed: 7, summary: summary(rate) } as const),
  runs: { rowsPerRun: 64, rowsPerToken: 2, costs, ...runs },
});
const open = (policy: Policy, p99: number, p99OfTurnsMs: readonly number[]): DepthSample => ({
  ...({ policy, mix: '75 %', loop: 'open', load: 0.75, seed: 7, summary: summary(50, p99) } as const),
  p99OfTurnsMs,
});

const depth75 = plannedDepth('75 %', 7, 2)!;
const findings: DepthFindings = {
  samples: [
    closed('static', 'none', 40),
    closed('sequence', 'none', 100),
    closed('depth', 'none', 99),
    closed('depth', '75 %', 99 * 0.98 * ceilingOf(costs, rows, 2, depth75)),
    closed('together', '75 %', 99 * 0.99 * ceilingOf(costs, rows, 2, depth75)),
    open('sequence', 200, [100, 100, 100]),
    open('depth', 180, [112.5, 90, 90]),
  ],
  rows,
  saturation: 64,
  maxDepth: 2,
  live: 0.5,
  workerMiB: 900,
  workerMiBMax: 1500,
};

test('goals hold exits against the ceiling, depth against sequence, and tails at the same rate', () => {
  const goals = new Map(depthGoals(findings).map((goal) => [goal.name, goal]));
  const measured = (name: RegExp) => {
    const goal = [...goals.values()].find((candidate) => name.test(candidate.name))!;
    return [Number(Number(goal.measured).toFixed(6)), goal.met];
  };
  assert.deepEqual(measured(/share of the ceiling at saturation, 75 %/), [98, true]);
  assert.deepEqual(measured(/share of the ceiling at saturation, all depths together, 75 %/), [99, true]);
  assert.deepEqual(measured(/loss against sequence/), [1, true]);
  assert.deepEqual(measured(/memory/), [900, true]);
  const ratio = findings.samples[3]!.summary.tokensPerS;
  assert.deepEqual(measured(/to static without exits, 75 %/), [Number((ratio / 40).toFixed(6)), true]);
  assert.deepEqual(measured(/to sequence without exits, 75 %/), [Number((ratio / 100).toFixed(6)), false]);
});

test('tails are held against each other turn by turn, and beside that stand its error and all gaps as one', () => {
  const goal = depthGoals(findings).find(({ name }) => name.startsWith('p99'))!;
  assert.ok(Math.abs(Number(goal.measured) - 0.9 * 1.25 ** (1 / 3)) < 1e-9, `${goal.measured}`);
  assert.equal(goal.met, true);
  const note = depthNotes(findings, 1).at(-1)!;
  // Of logarithms that are those of 0.9 but once, ln 1.25 above.
  const error = 100 * (1.25 ** (1 / 3) - 1);
  for (const part of ['3 turns', `0.97 ± ${error.toFixed(0)} %`, 'as one 0.90,']) {
    assert.ok(note.includes(part), `${part} in ${note}`);
  }
});

test('exits whose rows are dearer reach less of the ceiling, however busy they keep the engine', () => {
  const without = closed('depth', 'none', 100);
  const dearer = { ...costs, passMs: 2.4 };
  // As many tokens as the engine gives at these costs.
  const rate = (100 * (1 + 2 * 2)) / (1 + 2.4 * (2 * rows.prompt + depth75 * rows.answer));
  const samples = [without, closed('depth', '75 %', rate, { costs: dearer })];
  const [, row] = depthRows({ ...findings, samples });
  const reached = Number(row!['of ceiling %']);
  assert.ok(Math.abs(reached - rate / ceilingOf(costs, rows, 2, depth75)) < 1e-9);
  assert.ok(reached < 90, `${reached}`);
  assert.ok(Math.abs(Number(row!['busy %']) - 100) < 1e-9);
  const goal = depthGoals({ ...findings, samples }).find(({ name }) => name.startsWith('share'))!;
  assert.deepEqual([goal.measured, goal.met], [reached, false]);
});

test('a request that failed in one repeat counts, whatever the others did', () => {
  const failing: DepthSample = {
    ...closed('depth', 'none', 100),
    summary: { ...summary(100), failed: 2, refused: 1 },
  };
  const samples = [closed('depth', 'none', 90), closed('depth', 'none', 100), failing];
  assert.equal(depthRows({ ...findings, samples })[0]!.failed, 3);
  const goal = depthGoals({ ...findings, samples }).find(({ name }) => name.startsWith('requests'))!;
  assert.deepEqual([goal.measured, goal.met], [3, false]);
});

test('repeats of a cell become one row by their median', () => {
  const samples = [closed('depth', 'none', 90), closed('depth', 'none', 100), closed('depth', 'none', 400)];
  const rows = depthRows({ ...findings, samples });
  assert.equal(rows.length, 1);
  assert.equal(rows[0]!['tokens/s'], 100);
});
