import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSuite } from './report.ts';
import type { Suite, SuiteContext } from './suite.ts';

const suite: Suite = {
  ...{ name: 'a', summary: '' },
  run: async () => ({ rows: [], goals: [], plots: [], notes: [] }),
};
const context = { quick: false, seed: 1, threads: 2 } as unknown as SuiteContext;

test('a report names the commit from before its run, and says so when the checkout changed meanwhile', async () => {
  const named = async (...commits: string[]) =>
    (await runSuite(suite, context, async () => commits.shift()!)).commit;
  assert.equal(await named('1a', '1a'), '1a');
  assert.equal(await named('1a+changes', '1a+changes'), '1a+changes');
  assert.equal(await named('1a', '1a+changes'), '1a+changes');
  assert.equal(await named('1a+changes', '1a'), '1a+changes');
  assert.equal(await named('1a', '2b'), '1a…2b');
  assert.equal(await named('1a', '2b+changes'), '1a…2b+changes');
  assert.equal(await named('unknown', 'unknown'), 'unknown');
});
