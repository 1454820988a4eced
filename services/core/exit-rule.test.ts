import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideExit, type ExitRule, mayExitEarly, survive } from './exit-rule.ts';

const gate: ExitRule = { policy: 'gate', threshold: 0.7, minDepth: 1, maxDepth: 4 };

test('the gate leaves at the first pass whose cumulative exit probability reaches the threshold', () => {
  const lambdas = [0.4, 0.3, 0.5, 0.1];
  let survival = 1;
  const left = lambdas.findIndex((lambda, index) => {
    survival = survive(survival, lambda);
    return decideExit(gate, index + 1, { survival, row: 0 }) === 'exit';
  });
  // CDF: 0.4, 0.58, 0.79: no single λ reaches 0.7, their cumulative probability does at the third pass.
  assert.equal(left, 2);
});

test('min_depth holds a sure row back and max_depth lets an unsure one go', () => {
  assert.equal(decideExit({ ...gate, minDepth: 2 }, 1, { survival: 0, row: 0 }), 'go-on');
  assert.equal(decideExit({ ...gate, maxDepth: 3 }, 3, { survival: 1, row: 0 }), 'exit');
});

test('latent-diff leaves below its threshold and never without a signal', () => {
  const rule: ExitRule = { policy: 'latent-diff', threshold: 0.1, minDepth: 1, maxDepth: 4 };
  assert.equal(decideExit(rule, 1, { survival: 1, row: 0, latentDiff: 0.05 }), 'exit');
  assert.equal(decideExit(rule, 1, { survival: 1, row: 0, latentDiff: 0.2 }), 'go-on');
  assert.equal(decideExit(rule, 1, { survival: 1, row: 0 }), 'go-on');
});

test('confidence asks the head first, then leaves at the threshold', () => {
  const rule: ExitRule = { policy: 'confidence', threshold: 0.9, minDepth: 2, maxDepth: 4 };
  const signal = { survival: 1, row: 0 };
  assert.equal(decideExit(rule, 1, signal), 'go-on');
  assert.equal(decideExit(rule, 2, signal), 'ask-head');
  assert.equal(decideExit(rule, 2, { ...signal, confidence: 0.89 }), 'go-on');
  assert.equal(decideExit(rule, 2, { ...signal, confidence: 0.9 }), 'exit');
  assert.equal(decideExit(rule, 4, signal), 'exit');
});

test('replay leaves where the record says, over and over, within the bounds of the request', () => {
  const rule: ExitRule = { policy: 'replay', threshold: 0, minDepth: 2, maxDepth: 4, depths: [1, 3] };
  const left = (row: number) =>
    [1, 2, 3, 4].find((passes) => decideExit(rule, passes, { survival: 1, row }) === 'exit');
  assert.deepEqual([0, 1, 2, 3].map(left), [2, 3, 2, 3]);
});

test('only a rule that can fire before the last pass may exit early', () => {
  const never: ExitRule = { policy: 'none', threshold: 1, minDepth: 1, maxDepth: 4 };
  assert.equal(mayExitEarly(never, 4), false);
  assert.equal(mayExitEarly({ ...never, maxDepth: 3 }, 4), true);
  assert.equal(mayExitEarly(gate, 4), true);
  assert.equal(mayExitEarly({ ...gate, minDepth: 4 }, 4), false);
});
