import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactText } from './exact-report.ts';

test('a task that is called as a column of the whole leaves that column alone', () => {
  const byTask = { all: 0.5, exit: 0, passes: 1, sum: 0.25 };
  const [header, row] = exactText([{ exit: 'depth 2', meanPasses: 2, all: 0.4, byTask }]).split('\n');
  const names = ['exit', 'passes', 'all', 'task all', 'task exit', 'task passes', 'sum'];
  assert.deepEqual(header!.split(/ {2,}/), names);
  assert.deepEqual(row!.split(/ {2,}/), ['depth 2', '2', '40', '50', '0', '100', '25']);
});
