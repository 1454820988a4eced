import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ExitRule, mayExitEarly, shouldExit, survive } from './exit-rule.ts';

const gate: ExitRule = { policy: 'gate', threshold: 0.7, minDepth: 1, maxDepth: 4 };

test('the gate leaves at the first pass whose cumulative exit probability reaches the threshold', () => {
  const lambdas = [0.4, 0.3, 0.5, 0.1];
  let survival = 1;
  const left = lambdas.findIndex((lambda, index) => {
    survival = survive(survival, lambda);
    return shouldExit(gate, index + 1, survival, { gate: lambda });
  });
  // CDF: 0.4, 0.58, 0.79: no single λ reaches 0.7, their cumulative probability does at the third pass.
  assert.equal(left, 2);
});

test('min_depth holds a sure row back and max_depth lets an unsure one go', () => {
  assert.equal(shouldExit({ ...gate, minDepth: 2 }, 1, 0, { gate: 1 }), false);
  assert.equal(shouldExit({ ...gate, maxDepth: 3 }, 3, 1, { gate: 0 }), true);
});

test('latent-diff leaves below its threshold and never without a signal', () => {
  const rule: ExitRule = { policy: 'latent-diff', threshold: 0.1, minDepth: 1, maxDepth: 4 };
  assert.equal(shouldExit(rule, 1, 1, { latentDiff: 0.05 }), true);
  assert.equal(shouldExit(rule, 1, 1, { latentDiff: 0.2 }), false);
  assert.equal(shouldExit(rule, 1, 1, {}), false);
});

test('only a rule that can fire before the last pass may exit early', () => {
  const never: ExitRule = { policy: 'none', threshold: 1, minDepth: 1, maxDepth: 4 };
  assert.equal(mayExitEarly(never, 4), false);
  assert.equal(mayExitEarly({ ...never, maxDepth: 3 }, 4), true);
  assert.equal(mayExitEarly(gate, 4), true);
  assert.equal(mayExitEarly({ ...gate, minDepth: 4 }, 4), false);
});
