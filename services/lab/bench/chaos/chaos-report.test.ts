import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChaosRecord } from './chaos-client.ts';
import { type ChaosFindings, chaosGoals, detectionMs } from './chaos-report.ts';
import type { TakenStep } from './fault-run.ts';
import type { Action } from './fault-walk.ts';
import type { Verdict } from './verdict.ts';

const step = (action: Action, atMs: number, address = 'a'): TakenStep => ({
  action,
  slot: address,
  address,
  atMs,
});
const seen = (coordinator: number, atMs: number, serving = false, address = 'a') => ({
  ...{ coordinator, atMs, serving, address },
});

test('a fault is seen when the last coordinator has seen it', () => {
  const kill = step('kill', 100);
  const sightings = [
    seen(0, 50),
    seen(1, 90),
    seen(0, 130),
    seen(1, 120, true),
    seen(1, 110, false, 'b'),
    seen(1, 180),
  ];
  assert.equal(detectionMs(kill, [kill], sightings, 2), 80);
});

test('a worker that came back before both had seen it away was not seen', () => {
  const steps = [step('stop', 100), step('continue', 150)];
  assert.equal(detectionMs(steps[0]!, steps, [seen(0, 120), seen(1, 170)], 2), undefined);
  assert.equal(detectionMs(step('reset', 100), [], [seen(0, 120), seen(1, 130)], 2), undefined);
});

const record = (outcome: ChaosRecord['outcome']): ChaosRecord => ({
  ...{ id: 'r', sentMs: 0, endedMs: 1, outcome, status: 200, choices: [], tokenMs: [] },
});
const verdict = (outcome: ChaosRecord['outcome'], lost = 0): Verdict => ({
  sent: {
    coordinator: 0,
    known: {
      request: { path: '/v1/completions', body: { stream: true }, choices: 1 },
      answer: record('ended'),
    },
    record: record(outcome),
  },
  ...{ tokens: outcome === 'refused' ? 0 : 3, lost, repeated: 0, different: 0 },
  wrong: outcome === 'ended' && lost === 0 ? [] : ['not as it should be'],
});
const findings: ChaosFindings = {
  ...{ verdicts: [verdict('ended')], afterwards: [verdict('ended'), verdict('ended')] },
  ...{ steps: [step('kill', 1), step('restart', 2), step('cut', 3)], stuck: [], sightings: [] },
  ...{ coordinators: 2, faultsGoal: 2, minutes: 1, clients: 1, undecided: 0, recomputed: 0, drainMs: [] },
  ...{ wrongExits: [], reserved: 0, memoryMiB: [], toZero: false, nats: false },
};
const missed = (more: Partial<ChaosFindings>) =>
  chaosGoals({ ...findings, ...more })
    .filter(({ met }) => !met)
    .map(({ name }) => name);

test('every goal is met by a run in which nothing went wrong, and missed by what it is about', () => {
  assert.deepEqual(missed({}), []);
  assert.deepEqual(missed({ faultsGoal: 3 }), ['faults']);
  assert.deepEqual(missed({ wrongExits: ['worker-1'] }), ['processes that ended wrongly']);
  assert.deepEqual(missed({ reserved: 16 }), ['positions of K and V still reserved at the end']);
  assert.deepEqual(missed({ stuck: ['worker-1'] }), ['workers that came back and never served']);
});

test('where every worker may be away, a request may fail, but not lose tokens and end well', () => {
  const whole = verdict('ended');
  assert.deepEqual(missed({ verdicts: [whole, verdict('failed', 2)], toZero: true }), []);
  assert.deepEqual(missed({ verdicts: [verdict('ended', 2)], toZero: true }), ['tokens lost']);
  assert.deepEqual(missed({ verdicts: [whole, verdict('failed', 2)] }), [
    'tokens lost',
    'requests that failed after they were taken',
  ]);
});

test('a cluster that refuses everything, or says nothing whole once it is left alone, misses a goal also where every worker may be away', () => {
  const refused = [verdict('refused'), verdict('refused')];
  const answered = 'requests behind the last fault that ended well, one to each coordinator';
  assert.deepEqual(missed({ verdicts: refused, afterwards: refused, toZero: true }), [
    'tokens compared',
    answered,
  ]);
  assert.deepEqual(missed({ afterwards: [verdict('ended'), verdict('ended', 1)], toZero: true }), [answered]);
});
