import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWhole, type SuiteContext } from './suite.ts';

test('a run is whole unless it is quick or anything was chosen of its cells or faults', () => {
  const whole = (chosen: Partial<SuiteContext>) => isWhole({ quick: false, ...chosen });
  assert.equal(whole({}), true);
  assert.equal(whole({ seed: 7, threads: 1 }), true);
  assert.equal(whole({ quick: true }), false);
  assert.equal(whole({ cells: [{ sequences: 1, context: 128 }] }), false);
  const choices = [
    { minutes: 2 },
    { faults: 5 },
    { bundle: 'b' },
    { placement: 'staged' },
    { toZero: true },
  ] as const;
  for (const chaos of choices) assert.equal(whole({ chaos }), false, JSON.stringify(chaos));
});
